// Two sets of keywords that must both hold, as one.
#include <algorithm>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "formats/printable.h"
#include "grammar/schema_keywords.h"

namespace hachi::grammar {
namespace {

namespace json = boost::json;

tl::unexpected<Error> cannot_merge(const Keyword& a, const Keyword& b) {
  return fail(Code::kUnsupported, "{} and {} must both hold, which cannot be enforced together",
              formats::printable(a.pointer), formats::printable(b.pointer));
}

json::array as_list(const json::value& value) {
  if (const json::array* array = value.if_array()) return *array;
  return {value};
}

bool contains(const json::array& list, const json::value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// "number" holds for the integers too.
json::array common_types(const json::array& a, const json::array& b) {
  json::array both;
  for (const json::value& type : a) {
    if (contains(b, type) || (type == "integer" && contains(b, "number"))) both.push_back(type);
  }
  for (const json::value& type : b) {
    if (type == "integer" && contains(a, "number") && !contains(both, type)) both.push_back(type);
  }
  return both;
}

// All values within one, which copying it costs. The depth is bounded as the JSON text's was.
size_t num_values(const json::value& value) {
  size_t count = 1;
  if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) count += num_values(element);
  } else if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& pair : *object) count += num_values(pair.value());
  }
  return count;
}

// Whether a schema's members are named by its properties alone, so that it forbids another's.
bool forbids_others(const Keywords& keywords) {
  const Keyword* additional = keywords.find("additionalProperties");
  return additional && !(additional->value->is_bool() && additional->value->get_bool());
}

}  // namespace

Result<Keyword> SchemaReader::merge_properties(const Keyword& a, const Keyword& b) {
  if (!a.value->is_object() || !b.value->is_object()) return cannot_merge(a, b);
  TRY(count(a.pointer, num_values(*a.value) + num_values(*b.value)));
  json::object both = a.value->get_object();
  for (const json::key_value_pair& pair : b.value->get_object()) {
    json::value* known = both.if_contains(pair.key());
    if (!known) {
      both.emplace(pair.key(), pair.value());
    } else if (*known != pair.value()) {
      *known = json::object{{"allOf", json::array{*known, pair.value()}}};
    }
  }
  made_.push_back(std::move(both));
  return Keyword{a.name, &made_.back(), a.pointer};
}

Result<Keyword> SchemaReader::merge_keyword(const Keyword& a, const Keyword& b) {
  if (*a.value == *b.value) return a;
  const std::string_view name = a.name;
  if (name == "properties") return merge_properties(a, b);
  const bool are_numbers = a.value->is_number() && b.value->is_number();
  if (are_numbers && (name.starts_with("min") || name == "exclusiveMinimum")) {
    return a.value->to_number<double>() > b.value->to_number<double>() ? a : b;
  }
  if (are_numbers && (name.starts_with("max") || name == "exclusiveMaximum")) {
    return a.value->to_number<double>() < b.value->to_number<double>() ? a : b;
  }
  if (name == "required" && a.value->is_array() && b.value->is_array()) {
    json::array both = a.value->get_array();
    for (const json::value& one : b.value->get_array()) {
      if (!contains(both, one)) both.push_back(one);
    }
    made_.push_back(std::move(both));
    return Keyword{a.name, &made_.back(), a.pointer};
  }
  if (name == "type") {
    json::array both = common_types(as_list(*a.value), as_list(*b.value));
    if (both.empty()) {
      return fail(Code::kInvalidArgument, "{} and {} leave no type that satisfies both",
                  formats::printable(a.pointer), formats::printable(b.pointer));
    }
    made_.push_back(std::move(both));
    return Keyword{a.name, &made_.back(), a.pointer};
  }
  if (name == "enum" && a.value->is_array() && b.value->is_array()) {
    json::array both;
    for (const json::value& one : a.value->get_array()) {
      if (contains(b.value->get_array(), one)) both.push_back(one);
    }
    made_.push_back(std::move(both));
    return Keyword{a.name, &made_.back(), a.pointer};
  }
  return cannot_merge(a, b);
}

Result<Keywords> SchemaReader::merge(const Keywords& a, const Keywords& b) {
  TRY(count("allOf"));
  const Keyword* a_names = a.find("properties");
  const Keyword* b_names = b.find("properties");
  const bool differ =
      (a_names || b_names) && !(a_names && b_names && *a_names->value == *b_names->value);
  if (differ && ((forbids_others(a) && b_names) || (forbids_others(b) && a_names))) {
    return cannot_merge(forbids_others(a) ? *a.find("additionalProperties") : *a_names,
                        forbids_others(a) ? *b_names : *b.find("additionalProperties"));
  }
  Keywords both;
  for (const Keyword& keyword : a.all()) {
    if (const Keyword* other = b.find(keyword.name)) {
      TRY(Keyword merged, merge_keyword(keyword, *other));
      both.add(std::move(merged));
    } else {
      both.add(keyword);
    }
  }
  for (const Keyword& keyword : b.all()) {
    if (!a.find(keyword.name)) both.add(keyword);
  }
  return both;
}

}  // namespace hachi::grammar
