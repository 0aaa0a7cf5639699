#include "grammar/json_text.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "core/utf8.h"

namespace hachi::grammar {
namespace {

namespace json = boost::json;

// What a string must escape: the quote, the backslash and the control characters.
const CharSet kEscaped = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
const CharSet kHexDigits = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
const CharSet kDigits = {{'0', '9'}};
constexpr int kMostMoreChars = 64;  // of a name after where it differs from those that are taken

std::string escape(uint32_t c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return fmt::format("\\u{:04x}", c);
  }
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || c == '"' || c == '\\') {
      out += escape(byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

// The depth is that of the JSON text that the value was read from, which is bounded.
void append_json(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::int64:
      out += fmt::format("{}", value.get_int64());
      return;
    case json::kind::uint64:
      out += fmt::format("{}", value.get_uint64());
      return;
    case json::kind::double_: {
      const double number = value.get_double();
      const bool is_whole = number == std::trunc(number) && std::abs(number) < 1e15;
      out += is_whole ? fmt::format("{:.1f}", number) : fmt::format("{}", number);
      return;
    }
    case json::kind::string:
      return append_string(out, std::string_view(value.get_string()));
    case json::kind::array: {
      std::string_view before = "[";
      for (const json::value& element : value.get_array()) {
        out += std::exchange(before, kComma);
        append_json(out, element);
      }
      out += value.get_array().empty() ? "[]" : "]";
      return;
    }
    case json::kind::object: {
      std::string_view before = "{";
      for (const json::key_value_pair& pair : value.get_object()) {
        out += std::exchange(before, kComma);
        append_string(out, std::string_view(pair.key()));
        out += kColon;
        append_json(out, pair.value());
      }
      out += value.get_object().empty() ? "{}" : "}";
      return;
    }
  }
}

}  // namespace

std::string write_json(const json::value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

template <class Make>
NodeId JsonText::once(std::optional<NodeId>& node, std::string_view name, Make&& make) {
  if (!node) node = rules_.shared(std::string(name), make());
  return *node;
}

NodeId JsonText::character(const CharSet& set) {
  std::vector<NodeId> ways;
  const CharSet plain = set.minus(kEscaped);
  if (!plain.is_empty()) ways.push_back(rules_.chars(plain));
  const CharSet escaped = set.intersect(kEscaped);
  for (const CharRange& range : escaped.ranges()) {
    for (uint32_t c = range.first; c <= range.last; ++c) {
      ways.push_back(rules_.literal(escape(c)));
    }
  }
  return rules_.one_of(ways);
}

NodeId JsonText::any_character() {
  if (!any_character_) {
    const NodeId hex = rules_.chars(kHexDigits);
    // No surrogates: half a pair is no character.
    const NodeId code = rules_.one_of(
        {rules_.sequence(
             {rules_.chars({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}}), hex, hex,
              hex}),
         rules_.sequence(
             {rules_.chars({{'D', 'D'}, {'d', 'd'}}), rules_.chars({{'0', '7'}}), hex, hex})});
    const CharSet letters = {{'"', '"'}, {'/', '/'}, {'\\', '\\'}, {'b', 'b'},
                             {'f', 'f'}, {'n', 'n'}, {'r', 'r'},   {'t', 't'}};
    any_character_ = rules_.one_of(
        {rules_.chars(kEscaped.complement()),
         rules_.sequence({rules_.literal("\\"),
                          rules_.one_of({rules_.chars(letters),
                                         rules_.sequence({rules_.literal("u"), code})})})});
  }
  return *any_character_;
}

NodeId JsonText::quoted(NodeId characters) {
  return rules_.sequence({rules_.literal("\""), characters, rules_.literal("\"")});
}

NodeId JsonText::string() {
  return once(string_, "any string",
              [this] { return quoted(rules_.repeat(any_character(), 0, Rules::kUnbounded)); });
}

NodeId JsonText::string(int min, int max) {
  if (min == 0 && max == Rules::kUnbounded) return string();
  return quoted(rules_.repeat(any_character(), min, max));
}

NodeId JsonText::integer() {
  return once(integer_, "any integer", [this] {
    return rules_.one_of(
        {rules_.literal("0"),
         rules_.sequence({rules_.optional(rules_.literal("-")), rules_.chars({{'1', '9'}}),
                          rules_.repeat(rules_.chars(kDigits), 0, 17)})});
  });
}

NodeId JsonText::number() {
  return once(number_, "any number", [this] {
    const NodeId digit = rules_.chars(kDigits);
    const NodeId whole =
        rules_.one_of({rules_.literal("0"),
                       rules_.sequence({rules_.chars({{'1', '9'}}), rules_.repeat(digit, 0, 15)})});
    const NodeId fraction = rules_.sequence({rules_.literal("."), rules_.repeat(digit, 1, 16)});
    const NodeId exponent = rules_.sequence(
        {rules_.chars({{'E', 'E'}, {'e', 'e'}}),
         rules_.optional(rules_.chars({{'+', '+'}, {'-', '-'}})), rules_.repeat(digit, 1, 2)});
    return rules_.sequence({rules_.optional(rules_.literal("-")), whole, rules_.optional(fraction),
                            rules_.optional(exponent)});
  });
}

NodeId JsonText::boolean() {
  return rules_.one_of({rules_.literal("true"), rules_.literal("false")});
}

NodeId JsonText::list(std::string_view open, NodeId item, std::string_view close, int min,
                      int max) {
  const NodeId more = rules_.sequence({rules_.literal(kComma), item});
  const int max_more = max == Rules::kUnbounded ? max : std::max(max - 1, 0);
  const NodeId items = rules_.sequence({item, rules_.repeat(more, std::max(min - 1, 0), max_more)});
  const NodeId inner = max == 0 ? rules_.empty() : min == 0 ? rules_.optional(items) : items;
  return rules_.sequence({rules_.literal(open), inner, rules_.literal(close)});
}

NodeId JsonText::object() {
  return once(object_, "any object", [this] {
    const NodeId pair = rules_.sequence({string(), rules_.literal(kColon), value()});
    return list("{", pair, "}", 0, Rules::kUnbounded);
  });
}

NodeId JsonText::array() {
  return once(array_, "any array",
              [this] { return list("[", value(), "]", 0, Rules::kUnbounded); });
}

NodeId JsonText::value() {
  if (!value_) {
    value_ = rules_.declare("any JSON value");
    rules_.define(*value_,
                  rules_.one_of({object(), array(), string(), number(), boolean(), null()}));
  }
  return rules_.rule(*value_);
}

// Names that have the first `depth` characters of taken[begin, end), which are sorted, and go on
// otherwise than all of those.
NodeId JsonText::names_besides(const std::vector<std::u32string>& taken, size_t begin, size_t end,
                               size_t depth) {
  const CharSet plain = kEscaped.complement();
  CharSet others = plain;
  std::vector<NodeId> ways;
  size_t at = begin;
  bool is_taken = false;
  for (; at < end && taken[at].size() == depth; ++at) is_taken = true;
  while (at < end) {
    const uint32_t c = taken[at][depth];
    const size_t first = at;
    while (at < end && taken[at][depth] == c) ++at;
    others = others.minus(CharSet::of(c));
    if (!plain.contains(c)) continue;  // such a name cannot be written plainly at all
    ways.push_back(rules_.sequence(
        {rules_.chars(CharSet::of(c)), names_besides(taken, first, at, depth + 1)}));
  }
  ways.push_back(rules_.sequence(
      {rules_.chars(others), rules_.repeat(rules_.chars(plain), 0, kMostMoreChars - 1)}));
  if (!is_taken && depth > 0) ways.push_back(rules_.empty());
  return rules_.one_of(ways);
}

NodeId JsonText::name_besides(const std::vector<std::string>& taken) {
  std::vector<std::u32string> names;
  for (const std::string& name : taken) {
    std::u32string& wide = names.emplace_back();
    for (size_t at = 0; at < name.size();) {
      const Utf8Char c = decode_utf8(std::string_view(name).substr(at));
      wide += static_cast<char32_t>(c.code_point);
      at += c.length;
    }
  }
  std::sort(names.begin(), names.end());
  return quoted(names_besides(names, 0, names.size(), 0));
}

}  // namespace hachi::grammar
