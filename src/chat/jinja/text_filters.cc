// Filters whose result is a text. As in Jinja, what they are applied to becomes a text first.
#include <iterator>

#include "chat/jinja/builtins.h"
#include "chat/jinja/json.h"
#include "chat/jinja/text_ops.h"

namespace hachi::chat::jinja {
namespace {

// A filter that takes no arguments: reads `self` as a text and applies `operation`.
template <Result<TextPtr> (*operation)(Budget&, const Text&)>
Result<Value> plain(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  TRY(const TextPtr text, to_text(runtime.budget, self));
  return text_value(operation(runtime.budget, *text));
}

Result<TextPtr> title_words(Budget& budget, const Text& text) {
  return title(budget, text, Words::kBetweenSeparators);
}

Result<Value> string_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  return text_value(to_text(runtime.budget, self));
}

Result<Value> trim(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"chars"}));
  TRY(const TextPtr text, to_text(runtime.budget, self));
  std::optional<std::string_view> chars;
  if (bound[0] && !bound[0]->is<None>()) {
    TRY(const Text* given, require_text(bound[0], "trim"));
    chars = given->bytes;
  }
  return text_value(strip(runtime.budget, *text, chars, true, true));
}

Result<Value> replace_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 2, {"old", "new", "count"}));
  TRY(const TextPtr text, to_text(runtime.budget, self));
  TRY(const TextPtr old, to_text(runtime.budget, *bound[0]));
  TRY(const TextPtr by, to_text(runtime.budget, *bound[1]));
  TRY(const int64_t count, integer_or(bound[2], -1, "replace"));
  return text_value(replace(runtime.budget, *text, old->bytes, *by, count));
}

// What an argument "indent" or "width" asks for: so many blanks, or the text itself.
Result<std::string> indentation(Budget& budget, const Value* width, int64_t otherwise,
                                std::string_view what) {
  if (width && width->text()) return width->text()->bytes;
  TRY(const int64_t count, integer_or(width, otherwise, what));
  if (count <= 0) return std::string();
  TRY(budget.spend_bytes(static_cast<uint64_t>(count)));
  return std::string(static_cast<size_t>(count), ' ');
}

Result<Value> indent(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"width", "first", "blank"}));
  TRY(const std::string margin, indentation(runtime.budget, bound[0], 4, "indent"));
  TRY(const TextPtr text, to_text(runtime.budget, self));
  // With a newline put after it, so that a newline at the end is kept as a last, empty line.
  TRY(const TextPtr whole, concat(runtime.budget, *text, Text{"\n", {}}));
  TRY(const auto lines, split_lines(runtime.budget, *whole, false));
  TextBuilder out(runtime.budget);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.append("\n");
    const bool indents =
        i == 0 ? truth_or(bound[1], false) : truth_or(bound[2], false) || !lines[i]->bytes.empty();
    if (indents) out.append(margin);
    out.append(*lines[i]);
  }
  return text_value(out.finish());
}

Result<Value> to_json_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ascii_only = truth_or(bound[0], false);
  style.sort_keys = truth_or(bound[3], false);
  if (bound[1] && !bound[1]->is<None>()) {
    TRY(style.indent, indentation(runtime.budget, bound[1], 0, "tojson"));
    style.item_separator = std::string(1, ',');
  }
  if (bound[2] && !bound[2]->is<None>()) {
    const List* pair = bound[2]->list();
    if (!pair || pair->items.size() != 2) {
      return fail(Code::kInvalidArgument, "the separators of tojson must be a pair of strings");
    }
    TRY(const Text* item, require_text(&pair->items[0], "tojson"));
    TRY(const Text* key, require_text(&pair->items[1], "tojson"));
    style.item_separator = item->bytes;
    style.key_separator = key->bytes;
  }
  return text_value(to_json(runtime.budget, self, style));
}

constexpr NamedBuiltin kFilters[] = {
    {"trim", trim},
    {"upper", plain<upper>},
    {"lower", plain<lower>},
    {"capitalize", plain<capitalize>},
    {"title", plain<title_words>},
    {"escape", plain<escape_html>},
    {"e", plain<escape_html>},
    {"string", string_filter},
    {"safe", string_filter},
    {"replace", replace_filter},
    {"indent", indent},
    {"tojson", to_json_filter},
};

}  // namespace

BuiltinTable text_filters() { return {std::begin(kFilters), std::end(kFilters)}; }

}  // namespace hachi::chat::jinja
