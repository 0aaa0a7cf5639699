// Filters on lists, dicts and other things with elements.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/selection.h"
#include "chat/jinja/text_ops.h"

namespace hachi::chat::jinja {
namespace {

Result<Value> length(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  if (const Text* text = self.text()) {
    TRY(runtime.budget.spend_reading(text->bytes.size()));
    return Value(static_cast<int64_t>(count_chars(text->bytes)));
  }
  if (const List* list = self.list(); list && list->kind != ListKind::kStream) {
    return Value(static_cast<int64_t>(list->items.size()));
  }
  if (const Dict* dict = self.dict()) return Value(static_cast<int64_t>(dict->entries.size()));
  if (self.is<Undefined>()) return Value(int64_t{0});
  return fail(Code::kInvalidArgument, "{} has no length", self.kind());
}

Result<Value> list_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  TRY(const ListPtr items, elements(runtime.budget, self));
  if (items->kind == ListKind::kList) return Value(items);
  return list_value(runtime.budget, items->items);
}

Result<Value> first(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  TRY(const ListPtr items, elements(runtime.budget, self));
  return items->items.empty() ? Value::undefined("there is no first element")
                              : items->items.front();
}

Result<Value> last(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  TRY(const ListPtr items, elements(runtime.budget, self));
  return items->items.empty() ? Value::undefined("there is no last element") : items->items.back();
}

Result<Value> reverse_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  if (const Text* text = self.text()) {
    return text_value(reverse(runtime.budget, *text));
  }
  TRY(const ListPtr items, elements(runtime.budget, self));
  return list_value(runtime.budget, {items->items.rbegin(), items->items.rend()},
                    ListKind::kStream);
}

Result<Value> join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"d", "attribute"}));
  const Value separator = bound[0] ? *bound[0] : text_value("");
  TRY(const TextPtr between, to_text(runtime.budget, separator));
  TRY(const ListPtr items, elements(runtime.budget, self));
  TextBuilder out(runtime.budget);
  for (size_t i = 0; i < items->items.size(); ++i) {
    if (i > 0) out.append(*between);
    TRY(const Value item, attribute_of(runtime.budget, items->items[i], bound[1]));
    TRY(print(runtime.budget, out, item));
  }
  return text_value(out.finish());
}

Result<Value> items_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  if (self.is<Undefined>()) return list_value(runtime.budget, {}, ListKind::kStream);
  if (!self.dict()) {
    return fail(Code::kInvalidArgument, "{} has no items; it is not a dictionary", self.kind());
  }
  return pairs_value(runtime.budget, *self.dict(), ListKind::kStream);
}

Result<Value> sort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"reverse", "case_sensitive", "attribute"}));
  TRY(const ListPtr items, elements(runtime.budget, self));
  SortBy by{bound[2], truth_or(bound[1], false), truth_or(bound[0], false)};
  TRY(std::vector<Value> sorted, sorted_by(runtime.budget, items->items, by));
  return list_value(runtime.budget, std::move(sorted));
}

Result<Value> dictsort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"case_sensitive", "by", "reverse"}));
  TRY(require_defined(self));
  if (!self.dict()) {
    return fail(Code::kInvalidArgument, "dictsort needs a dictionary, got {}", self.kind());
  }
  std::string_view key = "key";
  if (bound[1]) {
    TRY(const Text* text, require_text(bound[1], "dictsort"));
    key = text->bytes;
  }
  if (key != "key" && key != "value") {
    return fail(Code::kInvalidArgument, "dictsort sorts by \"key\" or \"value\", not by \"{}\"",
                key);
  }
  const Value position(int64_t{key == "key" ? 0 : 1});
  TRY(const Value pairs, pairs_value(runtime.budget, *self.dict(), ListKind::kList));
  SortBy by{&position, truth_or(bound[0], false), truth_or(bound[2], false)};
  TRY(std::vector<Value> sorted, sorted_by(runtime.budget, pairs.list()->items, by));
  return list_value(runtime.budget, std::move(sorted));
}

Result<Value> extreme(Runtime& runtime, const Value& self, const Arguments& arguments,
                      bool wants_largest) {
  TRY(const auto bound, bind(arguments, 0, {"case_sensitive", "attribute"}));
  TRY(const ListPtr items, elements(runtime.budget, self));
  if (items->items.empty()) return Value::undefined("an empty list has no least or largest");
  SortBy by{bound[1], truth_or(bound[0], false), wants_largest};
  TRY(std::vector<Value> sorted, sorted_by(runtime.budget, items->items, by));
  return sorted.front();
}

Result<Value> min(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return extreme(runtime, self, arguments, false);
}

Result<Value> max(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return extreme(runtime, self, arguments, true);
}

Result<Value> unique(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"case_sensitive", "attribute"}));
  TRY(const ListPtr items, elements(runtime.budget, self));
  std::vector<Value> kept;
  std::vector<Value> keys;
  for (const Value& item : items->items) {
    TRY(Value key, attribute_of(runtime.budget, item, bound[1]));
    if (key.text() && !truth_or(bound[0], false)) {
      TRY(key, lower(runtime.budget, *key.text()));
    }
    bool seen = false;
    for (size_t i = 0; i < keys.size() && !seen; ++i) {
      TRY(seen, equal(runtime.budget, keys[i], key));
    }
    if (seen) continue;
    kept.push_back(item);
    keys.push_back(std::move(key));
  }
  return list_value(runtime.budget, std::move(kept), ListKind::kStream);
}

Result<Value> sum(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"attribute", "start"}));
  TRY(const ListPtr items, elements(runtime.budget, self));
  Value total = bound[1] ? *bound[1] : Value(int64_t{0});
  for (const Value& item : items->items) {
    TRY(const Value part, attribute_of(runtime.budget, item, bound[0]));
    TRY(total, apply(runtime.budget, BinaryOp::kAdd, total, part));
  }
  return total;
}

constexpr NamedBuiltin kFilters[] = {
    {"length", length},
    {"count", length},
    {"list", list_filter},
    {"first", first},
    {"last", last},
    {"join", join},
    {"items", items_filter},
    {"reverse", reverse_filter},
    {"sort", sort},
    {"dictsort", dictsort},
    {"min", min},
    {"max", max},
    {"unique", unique},
    {"sum", sum},
};

}  // namespace

BuiltinTable sequence_filters() { return {std::begin(kFilters), std::end(kFilters)}; }

}  // namespace hachi::chat::jinja
