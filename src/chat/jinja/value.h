// The values of the template language: Python's, as far as templates can see them. Texts, lists
// and dicts never change once made (the sandbox of the reference forbids it too); only a namespace
// does, and that belongs to the Runtime, so that values cannot hold each other alive in a circle.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "chat/jinja/text.h"

namespace hachi::chat::jinja {

struct List;
struct Dict;
struct Namespace;
struct Loop;
struct Function;
using ListPtr = std::shared_ptr<const List>;
using DictPtr = std::shared_ptr<const Dict>;
using LoopPtr = std::shared_ptr<Loop>;
using FunctionPtr = std::shared_ptr<const Function>;

// A name or element that is not there: prints as nothing, is false and empty, and anything else
// done with it fails with the sentence `what`.
struct Undefined {
  std::shared_ptr<const std::string> what;
};
struct None {};

template <class T, class Sum>
inline constexpr bool kIsOneOf = false;
template <class T, class... Kinds>
inline constexpr bool kIsOneOf<T, std::variant<Kinds...>> = (std::is_same_v<T, Kinds> || ...);

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, int64_t, double, TextPtr, ListPtr, DictPtr,
                            Namespace*, LoopPtr, FunctionPtr>;

  Value() = default;
  // Exact types only: a char* must not become a bool, nor an int a double.
  template <class T>
  requires(kIsOneOf<T, Data>) Value(T data) : data_(std::move(data)) {}

  static Value undefined(std::string what) {
    return Undefined{std::make_shared<const std::string>(std::move(what))};
  }

  template <class T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  template <class T>
  const T* get() const {
    return std::get_if<T>(&data_);
  }
  // The object behind a value of that kind, or null.
  const Text* text() const { return behind<TextPtr>(); }
  const List* list() const { return behind<ListPtr>(); }
  const Dict* dict() const { return behind<DictPtr>(); }

  bool is_number() const { return is<bool>() || is<int64_t>() || is<double>(); }
  // An integer, true counting as 1 as in Python; none for other values.
  const int64_t* integer(int64_t& room) const;
  double number() const;  // of a number

  // What Python's bool() says.
  bool truth() const;
  // Levels of lists and dicts in it: 0 for a plain value.
  int depth() const;
  // The kind in words, for messages: "a string".
  std::string_view kind() const;

 private:
  template <class Pointer>
  auto behind() const -> decltype(std::declval<Pointer>().get()) {
    const Pointer* pointer = get<Pointer>();
    return pointer ? pointer->get() : nullptr;
  }

  Data data_;
};

// A stream is what Python's generators are to a template: it can be gone through, is always true,
// and has no length.
enum class ListKind { kList, kTuple, kStream };

struct List {
  ListKind kind;
  int depth;
  std::vector<Value> items;
};

// In order of insertion. Looked up by going through it: the dicts of conversations are small, and
// hostile ones are charged for.
struct Dict {
  int depth = 1;
  std::vector<std::pair<Value, Value>> entries;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
};

// The `loop` of a for statement.
struct Loop {
  ListPtr items;
  size_t index0 = 0;
};

// What a filter, test, method or function is called with.
struct Arguments {
  std::string_view callee;  // its name, for messages
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

struct Runtime;
// `self` is what a filter or test is applied to, or the owner of a method; unused by functions.
using Builtin = Result<Value> (*)(Runtime& runtime, const Value& self, const Arguments& arguments);
struct Macro;

// Something that can be called: either a macro, or a builtin with its owner.
struct Function {
  std::string_view name;
  const Macro* macro = nullptr;
  Builtin builtin = nullptr;
  Value self;
};

Value text_value(std::string bytes, Trust trust = Trust::kTrusted);
Result<Value> text_value(Result<TextPtr> made);
// Fails with kLimit where the depth or the budget does not allow it.
Result<Value> list_value(Budget& budget, std::vector<Value> items, ListKind kind = ListKind::kList);
Result<Value> dict_value(Budget& budget, Dict dict);
// Adds or replaces, as a dict literal does. Fails if the key is a list or a dict.
Result<void> insert(Budget& budget, Dict& dict, Value key, Value value);
// The value under `key`, or null.
Result<const Value*> find(Budget& budget, const Dict& dict, const Value& key);

// Python's ==.
Result<bool> equal(Budget& budget, const Value& a, const Value& b);
// Python's <; fails for kinds that have no order.
Result<bool> less(Budget& budget, const Value& a, const Value& b);

// The elements that a for statement goes through: of a list, the characters of a text, the keys of
// a dict, none of an undefined value. Fails for others.
Result<ListPtr> elements(Budget& budget, const Value& value);

// Python's str(), appended to `out`. Fails for what has no sensible text (functions, streams).
Result<void> print(Budget& budget, TextBuilder& out, const Value& value);
Result<TextPtr> to_text(Budget& budget, const Value& value);
// Python's text of a float: the shortest that reads back the same, with ".0" where it is whole.
std::string float_text(double value);

// Fails with the sentence of an undefined value.
Result<void> require_defined(const Value& value);

}  // namespace hachi::chat::jinja
