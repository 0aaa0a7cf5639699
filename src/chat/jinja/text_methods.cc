// The methods of strings.
#include <algorithm>
#include <iterator>

#include <utf8proc.h>

#include "chat/jinja/builtins.h"
#include "chat/jinja/text_ops.h"
#include "core/utf8.h"

namespace hachi::chat::jinja {
namespace {

// Methods get a text as `self`: find_method() looks here for texts only.
const Text& text_of(const Value& self) { return *self.text(); }

template <Result<TextPtr> (*operation)(Budget&, const Text&)>
Result<Value> plain(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  return text_value(operation(runtime.budget, text_of(self)));
}

Result<TextPtr> title_letters(Budget& budget, const Text& text) {
  return title(budget, text, Words::kOfLetters);
}

template <bool left, bool right>
Result<Value> strip_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"chars"}));
  std::optional<std::string_view> chars;
  if (bound[0] && !bound[0]->is<None>()) {
    TRY(const Text* given, require_text(bound[0], arguments.callee));
    chars = given->bytes;
  }
  return text_value(strip(runtime.budget, text_of(self), chars, left, right));
}

template <bool from_right>
Result<Value> split_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"sep", "maxsplit"}));
  TRY(const int64_t max_splits, integer_or(bound[1], -1, arguments.callee));
  Result<std::vector<TextPtr>> pieces;
  if (!bound[0] || bound[0]->is<None>()) {
    if (from_right && max_splits >= 0) {
      return fail(Code::kUnsupported, "rsplit with maxsplit needs a separator");
    }
    pieces = split_words(runtime.budget, text_of(self), max_splits);
  } else {
    TRY(const Text* separator, require_text(bound[0], arguments.callee));
    if (separator->bytes.empty()) {
      return fail(Code::kInvalidArgument, "{} needs a separator that is not empty",
                  arguments.callee);
    }
    const auto divide = from_right ? rsplit : split;
    pieces = divide(runtime.budget, text_of(self), separator->bytes, max_splits);
  }
  if (!pieces) return tl::unexpected<Error>(std::move(pieces).error());
  return texts_value(runtime.budget, *std::move(pieces));
}

Result<Value> split_lines_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"keepends"}));
  TRY(auto lines, split_lines(runtime.budget, text_of(self), truth_or(bound[0], false)));
  return texts_value(runtime.budget, std::move(lines));
}

// startswith and endswith take one string or a tuple of them.
template <bool at_start>
Result<Value> has_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"affix"}));
  const std::string_view text = text_of(self).bytes;
  const Value* const one = bound[0];
  const List* tuple = one->list();
  const size_t count = tuple && tuple->kind == ListKind::kTuple ? tuple->items.size() : 1;
  for (size_t i = 0; i < count; ++i) {
    const bool is_tuple = tuple && tuple->kind == ListKind::kTuple;
    TRY(const Text* affix, require_text(is_tuple ? &tuple->items[i] : one, arguments.callee));
    TRY(runtime.budget.spend_reading(affix->bytes.size()));
    const bool holds = at_start ? text.starts_with(affix->bytes) : text.ends_with(affix->bytes);
    if (holds) return Value(true);
  }
  return Value(false);
}

template <bool at_start>
Result<Value> remove_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"affix"}));
  TRY(const Text* affix, require_text(bound[0], arguments.callee));
  const Text& text = text_of(self);
  const size_t size = affix->bytes.size();
  if (at_start && text.bytes.starts_with(affix->bytes)) {
    return text_value(sub_text(runtime.budget, text, size, text.bytes.size()));
  }
  if (!at_start && text.bytes.ends_with(affix->bytes)) {
    return text_value(sub_text(runtime.budget, text, 0, text.bytes.size() - size));
  }
  return self;
}

Result<Value> replace_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 2, {"old", "new", "count"}));
  TRY(const Text* old, require_text(bound[0], "replace"));
  TRY(const Text* by, require_text(bound[1], "replace"));
  TRY(const int64_t count, integer_or(bound[2], -1, "replace"));
  return text_value(replace(runtime.budget, text_of(self), old->bytes, *by, count));
}

template <bool from_right>
Result<Value> find_text(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"sub"}));
  TRY(const Text* part, require_text(bound[0], arguments.callee));
  const std::string_view text = text_of(self).bytes;
  TRY(runtime.budget.spend_reading(text.size() + part->bytes.size()));
  const size_t at = from_right ? rfind_bytes(text, part->bytes) : find_bytes(text, part->bytes);
  if (at != std::string_view::npos) {
    return Value(static_cast<int64_t>(count_chars(text.substr(0, at))));
  }
  if (arguments.callee == "index") {
    return fail(Code::kInvalidArgument, "index found no such part of the string");
  }
  return Value(int64_t{-1});
}

Result<Value> count_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"sub"}));
  TRY(const Text* part, require_text(bound[0], "count"));
  TRY(runtime.budget.spend_reading(text_of(self).bytes.size() + part->bytes.size()));
  return Value(static_cast<int64_t>(count_occurrences(text_of(self).bytes, part->bytes)));
}

Result<Value> join_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"iterable"}));
  TRY(const ListPtr items, elements(runtime.budget, *bound[0]));
  TextBuilder out(runtime.budget);
  for (size_t i = 0; i < items->items.size(); ++i) {
    TRY(runtime.budget.spend_steps(1));
    TRY(const Text* item, require_text(&items->items[i], "join"));
    if (i > 0) out.append(text_of(self));
    out.append(*item);
  }
  return text_value(out.finish());
}

utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}
bool is_letter(uint32_t c) {
  return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO;
}
bool is_digit(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_letter_or_number(uint32_t c) {
  return is_letter(c) ||
         (category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO);
}

// Whether the text is not empty and all its characters are of one class.
template <bool (*belongs)(uint32_t)>
Result<Value> all_chars(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  std::string_view text = text_of(self).bytes;
  TRY(runtime.budget.spend_reading(text.size()));
  bool all = !text.empty();
  while (all && !text.empty()) {
    const Utf8Char c = decode_utf8(text);
    all = belongs(c.code_point);
    text.remove_prefix(c.length);
  }
  return Value(all);
}

// Whether there are letters with case, and all of them have that one.
template <bool wants_upper>
Result<Value> has_case(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  std::string_view text = text_of(self).bytes;
  TRY(runtime.budget.spend_reading(text.size()));
  bool found = false;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    const bool upper_case = category(c.code_point) == UTF8PROC_CATEGORY_LU;
    const bool lower_case = category(c.code_point) == UTF8PROC_CATEGORY_LL;
    const bool wrong = wants_upper ? lower_case : upper_case;
    if (wrong || category(c.code_point) == UTF8PROC_CATEGORY_LT) return Value(false);
    found = found || upper_case || lower_case;
    text.remove_prefix(c.length);
  }
  return Value(found);
}

constexpr NamedBuiltin kMethods[] = {
    {"upper", plain<upper>},
    {"lower", plain<lower>},
    {"capitalize", plain<capitalize>},
    {"title", plain<title_letters>},
    {"strip", strip_method<true, true>},
    {"lstrip", strip_method<true, false>},
    {"rstrip", strip_method<false, true>},
    {"split", split_method<false>},
    {"rsplit", split_method<true>},
    {"splitlines", split_lines_method},
    {"startswith", has_affix<true>},
    {"endswith", has_affix<false>},
    {"removeprefix", remove_affix<true>},
    {"removesuffix", remove_affix<false>},
    {"replace", replace_method},
    {"find", find_text<false>},
    {"rfind", find_text<true>},
    {"index", find_text<false>},
    {"count", count_method},
    {"join", join_method},
    {"isalpha", all_chars<is_letter>},
    {"isdigit", all_chars<is_digit>},
    {"isalnum", all_chars<is_letter_or_number>},
    {"isspace", all_chars<is_space>},
    {"isupper", has_case<true>},
    {"islower", has_case<false>},
};

}  // namespace

BuiltinTable text_methods() { return {std::begin(kMethods), std::end(kMethods)}; }

}  // namespace hachi::chat::jinja
