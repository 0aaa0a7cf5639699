// Strings and numbers of JSON schemas, and whether two schemas leave a value for both.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "formats/printable.h"
#include "grammar/formats.h"
#include "grammar/regex.h"
#include "grammar/schema_converter.h"

namespace hachi::grammar {

namespace json = boost::json;

Result<NodeId> SchemaConverter::convert_string(const Keywords& keywords) {
  const Keyword* pattern = keywords.find("pattern");
  const Keyword* format = keywords.find("format");
  TRY(const Counts counts, counts_of(keywords, "minLength", "maxLength"));
  if (!pattern && !format) return json_.string(counts.min, counts.max);
  const Keyword& keyword = pattern ? *pattern : *format;
  if (pattern && format) {
    return fail(Code::kUnsupported, "{}: cannot be enforced together with a pattern",
                formats::printable(format->pointer));
  }
  if (counts.min > 0 || counts.max != Rules::kUnbounded) {
    const Keyword* length = keywords.find("maxLength");
    return fail(
        Code::kUnsupported,
        "{}: a length cannot be enforced together with {}; write it into the pattern, as in "
        "^[a-z]{{1,8}}$",
        formats::printable((length ? length : keywords.find("minLength"))->pointer), keyword.name);
  }
  const json::string* text = keyword.value->if_string();
  if (!text) {
    return fail(Code::kInvalidArgument, "{}: must be a string",
                formats::printable(keyword.pointer));
  }
  RegexOptions options;
  options.write = [this](const CharSet& set) { return json_.character(set); };
  options.is_search = pattern != nullptr;
  std::string_view expression = *text;
  if (format) {
    const auto known = format_pattern(expression);
    if (!known) {
      return fail(Code::kUnsupported, "{}: the format {} is not enforced, so it is refused",
                  formats::printable(keyword.pointer), formats::printable(expression));
    }
    expression = *known;
  }
  TRY(const NodeId characters,
      parse_regex(rules_, expression, formats::printable(keyword.pointer), options));
  return json_.quoted(characters);
}

Result<std::optional<Bound>> SchemaConverter::bound_of(const Keywords& keywords,
                                                       std::string_view inclusive,
                                                       std::string_view exclusive,
                                                       bool is_least) const {
  const Keyword* keyword = keywords.find(inclusive);
  const Keyword* other = keywords.find(exclusive);
  for (const Keyword* one : {keyword, other}) {
    if (one && !one->value->is_number()) {
      return fail(Code::kInvalidArgument, "{}: must be a number", formats::printable(one->pointer));
    }
  }
  if (keyword && other) {  // the narrower one counts
    const double a = keyword->value->to_number<double>();
    const double b = other->value->to_number<double>();
    if (is_least ? a > b : a < b) {
      other = nullptr;
    } else {
      keyword = nullptr;
    }
  }
  const Keyword* bound = keyword ? keyword : other;
  if (!bound) return std::optional<Bound>();
  // Bounds that the digits allowed keep anyway, such as the largest 64-bit integer.
  const double value = bound->value->to_number<double>();
  if (is_least ? value <= -1e15 : value >= 1e15) return std::optional<Bound>();
  auto decimal = Decimal::from_json(*bound->value);
  if (!decimal) {
    return fail(decimal.error().code, "{}: {}", formats::printable(bound->pointer),
                decimal.error().message);
  }
  return std::optional<Bound>(Bound{*std::move(decimal), bound == other});
}

Result<NodeId> SchemaConverter::convert_number(const Keywords& keywords, bool integers_only) {
  if (const Keyword* multiple = keywords.find("multipleOf")) {
    const bool is_one = multiple->value->is_number() && multiple->value->to_number<double>() == 1;
    if (!is_one) {
      return fail(Code::kUnsupported, "{}: only 1 can be enforced",
                  formats::printable(multiple->pointer));
    }
    integers_only = true;
  }
  TRY(const auto least, bound_of(keywords, "minimum", "exclusiveMinimum", true));
  TRY(const auto greatest, bound_of(keywords, "maximum", "exclusiveMaximum", false));
  const bool is_free = !keywords.find("minimum") && !keywords.find("exclusiveMinimum") &&
                       !keywords.find("maximum") && !keywords.find("exclusiveMaximum");
  if (is_free) return integers_only ? json_.integer() : json_.number();
  return number_range(rules_, least, greatest, integers_only);
}

Result<bool> SchemaConverter::are_disjoint(const Value& a, const std::string& a_pointer,
                                           const Value& b, const std::string& b_pointer,
                                           int depth) {
  constexpr int kMaxDisjointDepth = 4;  // of required properties within one another
  if (depth > kMaxDisjointDepth) return false;
  for (const Value* one : {&a, &b}) {
    if (one->is_bool()) return !one->get_bool();
  }
  TRY(const Keywords a_keywords, reader_.gather(a, a_pointer));
  TRY(const Keywords b_keywords, reader_.gather(b, b_pointer));
  const auto values_of = [](const Keywords& keywords) {
    json::array values;
    if (const Keyword* one = keywords.find("const")) {
      values.push_back(*one->value);
    } else if (const Keyword* list = keywords.find("enum"); list && list->value->is_array()) {
      values = list->value->get_array();
    }
    return values;
  };
  const json::array a_values = values_of(a_keywords);
  const json::array b_values = values_of(b_keywords);
  if (!a_values.empty() && !b_values.empty()) {
    TRY(reader_.count(a_pointer, a_values.size() * b_values.size() / 64));
    return std::find_first_of(a_values.begin(), a_values.end(), b_values.begin(), b_values.end()) ==
           a_values.end();
  }
  if (a_keywords.find("type") && b_keywords.find("type")) {
    TRY(const auto a_types, types_of(a_keywords));
    TRY(const auto b_types, types_of(b_keywords));
    const bool share = std::any_of(a_types.begin(), a_types.end(), [&](const std::string& x) {
      return std::any_of(b_types.begin(), b_types.end(), [&](const std::string& y) {
        return x == y || (x == "integer" && y == "number") || (x == "number" && y == "integer");
      });
    });
    if (!share) return true;
    const bool are_objects = a_types.size() == 1 && a_types[0] == "object" && b_types == a_types;
    if (!are_objects) return false;
  }
  // Two objects differ where both require a name whose values are disjoint.
  const Keyword* a_properties = a_keywords.find("properties");
  const Keyword* b_properties = b_keywords.find("properties");
  const Keyword* a_required = a_keywords.find("required");
  const Keyword* b_required = b_keywords.find("required");
  const bool are_plain = a_properties && a_properties->value->is_object() && b_properties &&
                         b_properties->value->is_object() && a_required &&
                         a_required->value->is_array() && b_required &&
                         b_required->value->is_array() && a_keywords.find("type") &&
                         b_keywords.find("type");
  if (!are_plain) return false;
  for (const json::value& name : a_required->value->get_array()) {
    const json::array& others = b_required->value->get_array();
    if (!name.is_string() || std::find(others.begin(), others.end(), name) == others.end())
      continue;
    const std::string_view key = name.get_string();
    const Value* a_value = a_properties->value->get_object().if_contains(key);
    const Value* b_value = b_properties->value->get_object().if_contains(key);
    if (!a_value || !b_value) continue;
    TRY(const bool disjoint,
        are_disjoint(*a_value, child_pointer(a_properties->pointer, key), *b_value,
                     child_pointer(b_properties->pointer, key), depth + 1));
    if (disjoint) return true;
  }
  return false;
}

}  // namespace hachi::grammar
