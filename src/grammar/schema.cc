#include "grammar/schema.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "formats/json.h"
#include "formats/printable.h"
#include "grammar/schema_converter.h"

namespace hachi::grammar {
namespace {

namespace json = boost::json;

// The keywords that say something about values of one type alone.
struct TypeKeywords {
  std::string_view type;
  std::array<std::string_view, 5> names;
};
constexpr std::array<TypeKeywords, 4> kTypeKeywords = {{
    {"object",
     {"properties", "required", "additionalProperties", "minProperties", "maxProperties"}},
    {"array", {"items", "prefixItems", "minItems", "maxItems", ""}},
    {"string", {"minLength", "maxLength", "pattern", "format", ""}},
    {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
}};
constexpr std::array<std::string_view, 7> kTypes = {"object",  "array",   "string", "number",
                                                    "integer", "boolean", "null"};

bool has_type(const json::value& value, std::string_view type) {
  switch (value.kind()) {
    case json::kind::null:
      return type == "null";
    case json::kind::bool_:
      return type == "boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return type == "integer" || type == "number";
    case json::kind::double_:
      return type == "number";
    case json::kind::string:
      return type == "string";
    case json::kind::array:
      return type == "array";
    case json::kind::object:
      return type == "object";
  }
  return false;
}

}  // namespace

Result<std::vector<std::string>> SchemaConverter::types_of(const Keywords& keywords) const {
  std::vector<std::string> types;
  const Keyword* keyword = keywords.find("type");
  if (!keyword) {
    for (const TypeKeywords& known : kTypeKeywords) {
      const bool is_meant =
          std::any_of(known.names.begin(), known.names.end(),
                      [&](std::string_view name) { return !name.empty() && keywords.find(name); });
      if (is_meant) types.emplace_back(known.type);
    }
    return types;
  }
  const auto add = [&](const json::value& value) -> bool {
    const json::string* name = value.if_string();
    if (!name || std::find(kTypes.begin(), kTypes.end(), std::string_view(*name)) == kTypes.end()) {
      return false;
    }
    types.emplace_back(std::string_view(*name));
    return true;
  };
  bool is_right = true;
  if (const json::array* list = keyword->value->if_array()) {
    is_right = !list->empty() && std::all_of(list->begin(), list->end(), add);
  } else {
    is_right = add(*keyword->value);
  }
  if (!is_right) {
    return fail(Code::kInvalidArgument,
                "{}: must be object, array, string, number, integer, boolean or null, or a list of "
                "these",
                formats::printable(keyword->pointer));
  }
  std::sort(types.begin(), types.end());
  types.erase(std::unique(types.begin(), types.end()), types.end());
  if (std::find(types.begin(), types.end(), "number") != types.end()) {
    std::erase(types, "integer");
  }
  return types;
}

Result<int> SchemaConverter::count_of(const Keywords& keywords, std::string_view name,
                                      int otherwise) const {
  const Keyword* keyword = keywords.find(name);
  if (!keyword) return otherwise;
  const double value = keyword->value->is_number() ? keyword->value->to_number<double>() : -1;
  if (value < 0 || value != static_cast<double>(static_cast<int64_t>(std::min(value, 1e15)))) {
    return fail(Code::kInvalidArgument, "{}: must be a whole number that is not negative",
                formats::printable(keyword->pointer));
  }
  if (value > kMaxRepeat) {
    return fail(Code::kLimit,
                "{}: at most {} can be enforced, got {}; leave it out or ask for less",
                formats::printable(keyword->pointer), kMaxRepeat, value);
  }
  return static_cast<int>(value);
}

Result<SchemaConverter::Counts> SchemaConverter::counts_of(const Keywords& keywords,
                                                           std::string_view min,
                                                           std::string_view max) const {
  TRY(const int least, count_of(keywords, min, 0));
  TRY(const int most, count_of(keywords, max, Rules::kUnbounded));
  if (most != Rules::kUnbounded && most < least) {
    return fail(Code::kInvalidArgument, "{}: is {}, below {}, which is {}",
                formats::printable(keywords.find(max)->pointer), most, min, least);
  }
  return Counts{least, most};
}

Result<NodeId> SchemaConverter::convert(const Value& schema, const std::string& pointer) {
  if (depth_ >= kMaxSchemaDepth) {
    return fail(Code::kLimit, "{}: more than {} schemas and references lie within one another",
                formats::printable(pointer), kMaxSchemaDepth);
  }
  ++depth_;
  auto node = convert_here(schema, pointer);
  --depth_;
  return node;
}

Result<NodeId> SchemaConverter::convert_here(const Value& schema, const std::string& pointer) {
  if (schema.is_bool()) return schema.get_bool() ? json_.value() : rules_.none();
  Keyword storage;
  if (const Keyword* ref = reader_.lone_ref(schema, pointer, storage)) {
    TRY(reader_.count(pointer));
    TRY(const Value* target, reader_.resolve(*ref));
    const auto known = rule_of_.find(target);
    if (known != rule_of_.end()) return rules_.rule(known->second);
    const std::string name(std::string_view(ref->value->get_string()));
    const RuleId rule = rules_.declare(name);
    rule_of_.emplace(target, rule);
    TRY(const NodeId body, convert(*target, name.substr(1)));
    rules_.define(rule, body);
    return rules_.rule(rule);
  }
  TRY(const Keywords keywords, reader_.gather(schema, pointer));
  TRY(const NodeId node, convert_keywords(keywords, pointer));
  return rules_.shared(pointer, node);
}

Result<NodeId> SchemaConverter::convert_keywords(const Keywords& keywords,
                                                 const std::string& pointer) {
  const Keyword* any_of = keywords.find("anyOf");
  const Keyword* one_of = keywords.find("oneOf");
  if (any_of || one_of) return convert_branches(keywords, any_of ? *any_of : *one_of, pointer);
  if (keywords.find("enum") || keywords.find("const")) return convert_values(keywords, pointer);
  if (keywords.is_empty()) return json_.value();
  TRY(const auto types, types_of(keywords));
  std::vector<NodeId> ways;
  for (const std::string& type : types) {
    TRY(const NodeId way, convert_type(keywords, type, pointer));
    ways.push_back(way);
  }
  return rules_.one_of(ways);
}

Result<NodeId> SchemaConverter::convert_branches(Keywords keywords, const Keyword& branches,
                                                 const std::string& pointer) {
  const Keyword list = branches;
  keywords.remove(list.name);
  const json::array* array = list.value->if_array();
  if (!array || array->empty() || array->size() > kMaxBranches) {
    return fail(Code::kInvalidArgument, "{}: must be a list of 1 to {} schemas",
                formats::printable(list.pointer), kMaxBranches);
  }
  std::vector<NodeId> ways;
  for (size_t i = 0; i < array->size(); ++i) {
    const std::string at = child_pointer(list.pointer, fmt::format("{}", i));
    for (size_t k = 0; list.name == "oneOf" && k < i; ++k) {
      const std::string other = child_pointer(list.pointer, fmt::format("{}", k));
      TRY(const bool disjoint, are_disjoint((*array)[i], at, (*array)[k], other, 0));
      if (!disjoint) {
        return fail(Code::kUnsupported,
                    "{}: a value could satisfy branch {} and branch {}, and oneOf wants exactly "
                    "one; use anyOf, or give them different types or constants",
                    formats::printable(list.pointer), k, i);
      }
    }
    if (keywords.is_empty()) {
      TRY(const NodeId way, convert((*array)[i], at));
      ways.push_back(way);
    } else if (!(*array)[i].is_bool() || (*array)[i].get_bool()) {
      TRY(const Keywords branch, reader_.gather((*array)[i], at));
      TRY(const Keywords both, reader_.merge(keywords, branch));
      TRY(const NodeId way, convert_keywords(both, pointer));
      ways.push_back(rules_.shared(at, way));
    }
  }
  return rules_.one_of(ways);
}

Result<NodeId> SchemaConverter::convert_values(const Keywords& keywords,
                                               const std::string& pointer) {
  for (const Keyword& keyword : keywords.all()) {
    if (keyword.name == "enum" || keyword.name == "const" || keyword.name == "type") continue;
    return fail(Code::kUnsupported,
                "{}: cannot be enforced beside enum or const; leave out the values that it forbids",
                formats::printable(keyword.pointer));
  }
  json::array values;
  const Keyword* one = keywords.find("const");
  if (const Keyword* list = keywords.find("enum")) {
    const json::array* array = list->value->if_array();
    if (!array) {
      return fail(Code::kInvalidArgument, "{}: must be an array",
                  formats::printable(list->pointer));
    }
    for (const json::value& value : *array) {
      if (!one || *one->value == value) values.push_back(value);
    }
  } else {
    values.push_back(*one->value);
  }
  TRY(const auto types, types_of(keywords));
  std::vector<NodeId> ways;
  for (const json::value& value : values) {
    const bool fits = !keywords.find("type") ||
                      std::any_of(types.begin(), types.end(),
                                  [&](const std::string& type) { return has_type(value, type); });
    if (fits) ways.push_back(json_.literal(value));
  }
  if (ways.empty()) {
    return fail(Code::kInvalidArgument, "{}: no value of enum, const and type is left",
                formats::printable(pointer));
  }
  return rules_.one_of(ways);
}

Result<NodeId> SchemaConverter::convert_type(const Keywords& keywords, std::string_view type,
                                             const std::string& pointer) {
  if (type == "object") return convert_object(keywords, pointer);
  if (type == "array") return convert_array(keywords, pointer);
  if (type == "string") return convert_string(keywords);
  if (type == "boolean") return json_.boolean();
  if (type == "null") return json_.null();
  return convert_number(keywords, type == "integer");
}

Result<NodeId> parse_schema(Rules& rules, JsonText& json, std::string_view schema) {
  if (schema.size() > kMaxSchemaBytes) {
    return fail(Code::kLimit, "the JSON schema has {} bytes; at most {} are allowed", schema.size(),
                kMaxSchemaBytes);
  }
  auto root = formats::parse_json(schema, "the JSON schema");
  if (!root) return fail(Code::kInvalidArgument, "{}", root.error().message);
  auto node = SchemaConverter(rules, json, *root).convert(*root, "");
  if (!node) return fail(node.error().code, "the JSON schema: {}", node.error().message);
  return node;
}

}  // namespace hachi::grammar
