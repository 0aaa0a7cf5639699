// Sorting, and the filters that pick elements or something of each: select and map and their kin.
#include "chat/jinja/selection.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <iterator>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text_ops.h"

namespace hachi::chat::jinja {
namespace {

// The test that the arguments name, beginning at `from`, with what it is to be called with.
struct NamedTest {
  Builtin function = nullptr;  // null: whether the value is true
  Arguments arguments;

  Result<bool> holds(Runtime& runtime, const Value& value) const {
    if (!function) return value.truth();
    TRY(const Value result, function(runtime, value, arguments));
    return result.truth();
  }
};

Result<NamedTest> named_test(const Arguments& arguments, size_t from) {
  NamedTest out;
  if (arguments.positional.size() <= from) return out;
  TRY(const Text* name, require_text(&arguments.positional[from], "the name of a test"));
  out.function = find_test(name->bytes);
  if (!out.function) return fail(Code::kUnsupported, "unknown test \"{}\"", name->bytes);
  out.arguments.callee = name->bytes;
  out.arguments.positional.assign(
      arguments.positional.begin() + static_cast<std::ptrdiff_t>(from) + 1,
      arguments.positional.end());
  out.arguments.named = arguments.named;
  return out;
}

// The four select filters: whether the test is put to an attribute, and what it must say.
template <bool of_attribute, bool wanted>
Result<Value> select(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value* attribute = nullptr;
  if (of_attribute) {
    if (arguments.positional.empty()) {
      return fail(Code::kInvalidArgument, "{} needs the name of an attribute", arguments.callee);
    }
    attribute = &arguments.positional[0];
  }
  TRY(const NamedTest test, named_test(arguments, of_attribute ? 1 : 0));
  TRY(const ListPtr items, elements(runtime.budget, self));
  std::vector<Value> kept;
  for (const Value& item : items->items) {
    TRY(runtime.budget.spend_steps(1));
    TRY(const Value tested, attribute_of(runtime.budget, item, attribute));
    TRY(const bool holds, test.holds(runtime, tested));
    if (holds == wanted) kept.push_back(item);
  }
  return list_value(runtime.budget, std::move(kept), ListKind::kStream);
}

Result<Value> map_attribute(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"attribute", "default"}));
  TRY(const ListPtr items, elements(runtime.budget, self));
  std::vector<Value> out;
  for (const Value& item : items->items) {
    TRY(runtime.budget.spend_steps(1));
    TRY(Value picked, attribute_of(runtime.budget, item, bound[0]));
    if (picked.is<Undefined>() && bound[1]) picked = *bound[1];
    out.push_back(std::move(picked));
  }
  return list_value(runtime.budget, std::move(out), ListKind::kStream);
}

Result<Value> map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) {
    if (arguments.named.empty()) {
      return fail(Code::kInvalidArgument, "map needs the name of a filter, or attribute=");
    }
    return map_attribute(runtime, self, arguments);
  }
  TRY(const Text* name, require_text(&arguments.positional[0], "the name of a filter"));
  const Builtin filter = find_filter(name->bytes);
  if (!filter) return fail(Code::kUnsupported, "unknown filter \"{}\"", name->bytes);
  const Arguments inner{
      name->bytes, {arguments.positional.begin() + 1, arguments.positional.end()}, arguments.named};
  TRY(const ListPtr items, elements(runtime.budget, self));
  std::vector<Value> out;
  for (const Value& item : items->items) {
    TRY(runtime.budget.spend_steps(1));
    TRY(Value made, filter(runtime, item, inner));
    out.push_back(std::move(made));
  }
  return list_value(runtime.budget, std::move(out), ListKind::kStream);
}

constexpr NamedBuiltin kFilters[] = {
    {"select", select<false, true>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<true, false>},
    {"map", map},
};

}  // namespace

BuiltinTable selection_filters() { return {std::begin(kFilters), std::end(kFilters)}; }

Result<Value> attribute_of(Budget& budget, const Value& item, const Value* attribute) {
  if (!attribute || attribute->is<None>()) return item;
  const Text* path = attribute->text();
  if (!path) return get_item(budget, item, *attribute);
  Value at = item;
  for (size_t begin = 0; begin <= path->bytes.size();) {
    TRY(budget.spend_steps(1));
    const size_t dot = std::min(path->bytes.find('.', begin), path->bytes.size());
    const std::string part = path->bytes.substr(begin, dot - begin);
    int64_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = error == std::errc() && end == part.data() + part.size() && index >= 0;
    TRY(at, get_item(budget, at, is_index ? Value(index) : text_value(part)));
    begin = dot + 1;
  }
  return at;
}

Result<Value> pairs_value(Budget& budget, const Dict& dict, ListKind kind) {
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict.entries) {
    TRY(budget.spend_steps(1));
    TRY(Value pair, list_value(budget, {key, value}, ListKind::kTuple));
    pairs.push_back(std::move(pair));
  }
  return list_value(budget, std::move(pairs), kind);
}

Result<std::vector<Value>> sorted_by(Budget& budget, const std::vector<Value>& items,
                                     const SortBy& by) {
  struct Keyed {
    Value key;
    const Value* item;
  };
  std::vector<Keyed> keyed;
  TRY(budget.spend_bytes(items.size() * sizeof(Keyed)));
  const auto comparisons = static_cast<uint64_t>(std::bit_width(items.size()));
  for (const Value& item : items) {
    TRY(Value key, attribute_of(budget, item, by.attribute));
    TRY(require_defined(key));
    if (key.text() && !by.case_sensitive) {
      TRY(key, lower(budget, *key.text()));
    }
    const bool fits = keyed.empty() || (key.text() && keyed[0].key.text()) ||
                      (key.is_number() && keyed[0].key.is_number());
    if (!fits || !(key.text() || key.is_number())) {
      return fail(Code::kInvalidArgument, "{} and {} cannot be sorted",
                  keyed.empty() ? "elements" : keyed[0].key.kind(), key.kind());
    }
    const size_t size = key.text() ? key.text()->bytes.size() : 0;
    TRY(budget.spend_steps(comparisons * (1 + size / 32)));
    keyed.push_back({std::move(key), &item});
  }
  const auto before = [&](const Keyed& a, const Keyed& b) {
    if (a.key.text()) {
      const int order = a.key.text()->bytes.compare(b.key.text()->bytes);
      return by.descending ? order > 0 : order < 0;
    }
    return by.descending ? a.key.number() > b.key.number() : a.key.number() < b.key.number();
  };
  std::stable_sort(keyed.begin(), keyed.end(), before);
  std::vector<Value> out;
  out.reserve(keyed.size());
  for (const Keyed& entry : keyed) out.push_back(*entry.item);
  return out;
}

}  // namespace hachi::chat::jinja
