// The part of operators.h that reaches into values: attributes, subscripts and slices.
#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text_ops.h"

namespace hachi::chat::jinja {
namespace {

Value missing(const Value& object, std::string_view name) {
  return Value::undefined(fmt::format("{} has no attribute \"{}\"", object.kind(), name));
}

// The properties of the loop variable; nothing if it has none of that name.
std::optional<Value> loop_property(const Loop& loop, std::string_view name) {
  const std::vector<Value>& items = loop.items->items;
  const auto index = static_cast<int64_t>(loop.index0);
  const auto length = static_cast<int64_t>(items.size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(length - index);
  if (name == "revindex0") return Value(length - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == length);
  if (name == "length") return Value(length);
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") {
    return index > 0 ? items[loop.index0 - 1] : Value::undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return index + 1 < length ? items[loop.index0 + 1] : Value::undefined("there is no next item");
  }
  return std::nullopt;
}

// What is part of the object itself and not among its entries; nothing if there is no such part.
std::optional<Value> own_attribute(const Value& object, std::string_view name) {
  if (const auto* space = object.get<Namespace*>()) {
    for (const auto& [key, value] : (*space)->attributes) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  if (const auto* loop = object.get<LoopPtr>()) {
    if (auto property = loop_property(**loop, name)) return property;
  }
  const NamedBuiltin* method = find_method(object, name);
  if (!method) return std::nullopt;
  return Value(FunctionPtr(
      std::make_shared<const Function>(Function{method->name, nullptr, method->function, object})));
}

// The element at `index` of what has `size` elements, counted from the end where it is negative;
// `size` if there is none.
size_t element_index(int64_t index, size_t size) {
  const auto length = static_cast<int64_t>(size);
  if (index < 0) index += length;
  return index < 0 || index >= length ? size : static_cast<size_t>(index);
}

// An element or entry; nothing if there is none.
Result<std::optional<Value>> element(Budget& budget, const Value& object, const Value& index) {
  if (const Dict* dict = object.dict()) {
    TRY(const Value* found, find(budget, *dict, index));
    return found ? std::optional<Value>(*found) : std::nullopt;
  }
  int64_t room = 0;
  const int64_t* position = index.integer(room);
  if (!position) return std::nullopt;
  if (const List* list = object.list(); list && list->kind != ListKind::kStream) {
    const size_t at = element_index(*position, list->items.size());
    if (at < list->items.size()) return std::optional<Value>(list->items[at]);
  }
  if (const Text* text = object.text()) {
    TRY(budget.spend_reading(2 * text->bytes.size()));
    const size_t length = count_chars(text->bytes);
    const size_t at = element_index(*position, length);
    if (at < length) {
      const size_t begin = byte_of_char(text->bytes, at);
      const std::string_view rest = std::string_view(text->bytes).substr(begin);
      TRY(TextPtr item, sub_text(budget, *text, begin, begin + byte_of_char(rest, 1)));
      return std::optional<Value>(std::move(item));
    }
  }
  return std::nullopt;
}

struct SliceRange {
  int64_t start;
  int64_t step;
  size_t count;
};

// The positions of [start:stop:step] in `size` elements, by Python's rules.
Result<SliceRange> slice_range(size_t size, const Value& start, const Value& stop,
                               const Value& step) {
  const auto length = static_cast<int64_t>(size);
  TRY(const int64_t by, integer_or(&step, 1, "the step of a slice"));
  if (by == 0) return fail(Code::kInvalidArgument, "the step of a slice is 0");
  if (by == INT64_MIN) return fail(Code::kLimit, "the step of a slice is out of range");
  const int64_t low = by < 0 ? -1 : 0;
  const int64_t high = by < 0 ? length - 1 : length;
  const auto clamp = [&](int64_t at) {
    return std::clamp(at < 0 ? std::max(at, -length - 1) + length : at, low, high);
  };
  TRY(const int64_t from, integer_or(&start, INT64_MAX, "the start of a slice"));
  TRY(const int64_t to, integer_or(&stop, INT64_MAX, "the end of a slice"));
  const int64_t first = start.is<None>() ? (by < 0 ? high : low) : clamp(from);
  const int64_t last = stop.is<None>() ? (by < 0 ? low : high) : clamp(to);
  int64_t count = 0;
  if (by > 0 && first < last) count = (last - first - 1) / by + 1;
  if (by < 0 && first > last) count = (first - last - 1) / -by + 1;
  return SliceRange{first, by, static_cast<size_t>(count)};
}

Result<Value> slice_text(Budget& budget, const Text& text, const Value& start, const Value& stop,
                         const Value& step) {
  TRY(budget.spend_reading(2 * text.bytes.size()));
  TRY(const SliceRange range, slice_range(count_chars(text.bytes), start, stop, step));
  TextBuilder out(budget);
  if (range.count == 0) return text_value(out.finish());
  if (range.step == 1) {
    const size_t begin = byte_of_char(text.bytes, static_cast<size_t>(range.start));
    const std::string_view rest = std::string_view(text.bytes).substr(begin);
    out.append(text, begin, begin + byte_of_char(rest, range.count));
    return text_value(out.finish());
  }
  // The character offsets of the whole text: 8 bytes for each of its bytes at most.
  TRY(budget.spend_bytes(text.bytes.size() * sizeof(size_t)));
  TRY(budget.spend_steps(text.bytes.size()));
  std::vector<size_t> offsets;
  for (size_t at = 0; at <= text.bytes.size(); ++at) {
    const bool inside = at < text.bytes.size() && (text.bytes[at] & 0xC0) == 0x80;
    if (!inside) offsets.push_back(at);
  }
  int64_t at = range.start;
  for (size_t i = 0; i < range.count; ++i, at += i < range.count ? range.step : 0) {
    const auto character = static_cast<size_t>(at);
    out.append(text, offsets[character], offsets[character + 1]);
  }
  return text_value(out.finish());
}

}  // namespace

Result<Value> get_attribute(Budget& budget, const Value& object, std::string_view name) {
  TRY(require_defined(object));
  if (auto own = own_attribute(object, name)) return *std::move(own);
  if (const Dict* dict = object.dict()) {
    TRY(const Value* found, find(budget, *dict, text_value(std::string(name))));
    if (found) return *found;
  }
  return missing(object, name);
}

Result<Value> get_item(Budget& budget, const Value& object, const Value& index) {
  TRY(require_defined(object));
  TRY(require_defined(index));
  TRY(std::optional<Value> found, element(budget, object, index));
  if (found) return *std::move(found);
  if (const Text* name = index.text()) {
    if (auto own = own_attribute(object, name->bytes)) return *std::move(own);
    return missing(object, name->bytes);
  }
  return Value::undefined(fmt::format("{} has no such element", object.kind()));
}

Result<Value> get_slice(Budget& budget, const Value& object, const Value& start, const Value& stop,
                        const Value& step) {
  TRY(require_defined(object));
  if (const Text* text = object.text()) return slice_text(budget, *text, start, stop, step);
  const List* list = object.list();
  if (!list || list->kind == ListKind::kStream) {
    return fail(Code::kInvalidArgument, "{} cannot be sliced", object.kind());
  }
  TRY(const SliceRange range, slice_range(list->items.size(), start, stop, step));
  TRY(budget.spend_steps(range.count / 4));
  std::vector<Value> items;
  items.reserve(range.count);
  int64_t at = range.start;
  for (size_t i = 0; i < range.count; ++i, at += i < range.count ? range.step : 0) {
    items.push_back(list->items[static_cast<size_t>(at)]);
  }
  return list_value(budget, std::move(items), list->kind);
}

}  // namespace hachi::chat::jinja
