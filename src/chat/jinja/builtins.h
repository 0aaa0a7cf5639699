// The functions that templates can call: filters, tests, methods and global functions, each a
// Builtin found by its name.
#pragma once

#include <array>
#include <ctime>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "chat/jinja/budget.h"
#include "chat/jinja/value.h"

namespace hachi::chat::jinja {

// What one rendering shares.
struct Runtime {
  Budget budget;
  std::tm now = {};  // for strftime_now
  std::vector<std::unique_ptr<Namespace>> namespaces;
};

// Null where there is none of that name.
Builtin find_filter(std::string_view name);
Builtin find_test(std::string_view name);
Builtin find_function(std::string_view name);

struct NamedBuiltin {
  std::string_view name;
  Builtin function;
};
const NamedBuiltin* find_method(const Value& self, std::string_view name);

// One table a source file; the functions above look through those of their kind.
struct BuiltinTable {
  const NamedBuiltin* begin;
  const NamedBuiltin* end;
  const NamedBuiltin* find(std::string_view name) const;
};
BuiltinTable text_filters();
BuiltinTable sequence_filters();
BuiltinTable selection_filters();
BuiltinTable number_filters();
BuiltinTable text_methods();

// The arguments of a call in the order of `names`, null where not given. Fails if there are too
// many, one has another name, or one of the first `num_required` is missing.
inline constexpr size_t kMaxParameters = 6;
using BoundArguments = std::array<const Value*, kMaxParameters>;
Result<BoundArguments> bind(const Arguments& arguments, size_t num_required,
                            std::initializer_list<std::string_view> names);

// Reading one bound argument; `what` names the callee in messages. A missing one gives `otherwise`.
Result<int64_t> integer_or(const Value* value, int64_t otherwise, std::string_view what);
bool truth_or(const Value* value, bool otherwise);
Result<const Text*> require_text(const Value* value, std::string_view what);

// Strings of a list of pieces, as a list value.
Result<Value> texts_value(Budget& budget, std::vector<TextPtr> pieces);

}  // namespace hachi::chat::jinja
