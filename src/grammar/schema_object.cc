// Objects and arrays of JSON schemas.
#include <algorithm>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "formats/printable.h"
#include "grammar/schema.h"
#include "grammar/schema_converter.h"

namespace hachi::grammar {

namespace json = boost::json;

Result<NodeId> SchemaConverter::pair_of(std::string_view name, const Value& schema,
                                        const std::string& pointer) {
  if (name.size() > kMaxNameBytes) {
    return fail(Code::kLimit, "{}: the name has {} bytes; at most {} are allowed",
                formats::printable(pointer), name.size(), kMaxNameBytes);
  }
  TRY(const NodeId value, convert(schema, pointer));
  return rules_.sequence(
      {rules_.literal(write_json(json::value(json::string(name))) + std::string(kColon)), value});
}

Result<std::vector<SchemaConverter::Property>> SchemaConverter::properties_of(
    const Keywords& keywords, const std::string& pointer) {
  std::vector<std::string> required;
  if (const Keyword* keyword = keywords.find("required")) {
    const json::array* names = keyword->value->if_array();
    const bool are_names =
        names && std::all_of(names->begin(), names->end(),
                             [](const json::value& name) { return name.is_string(); });
    if (!are_names) {
      return fail(Code::kInvalidArgument, "{}: must be a list of names",
                  formats::printable(keyword->pointer));
    }
    for (const json::value& name : *names)
      required.emplace_back(std::string_view(name.get_string()));
  }
  std::vector<std::string> sorted = required;
  std::sort(sorted.begin(), sorted.end());
  std::vector<Property> properties;
  std::vector<std::string> named;
  if (const Keyword* keyword = keywords.find("properties")) {
    const json::object* object = keyword->value->if_object();
    if (!object) {
      return fail(Code::kInvalidArgument, "{}: must be an object",
                  formats::printable(keyword->pointer));
    }
    for (const json::key_value_pair& pair : *object) {
      const std::string name(pair.key());
      TRY(const NodeId node, pair_of(name, pair.value(), child_pointer(keyword->pointer, name)));
      properties.push_back({name, node, std::binary_search(sorted.begin(), sorted.end(), name)});
      named.push_back(name);
    }
  }
  std::sort(named.begin(), named.end());
  const Keyword* additional = keywords.find("additionalProperties");
  for (size_t i = 0; i < required.size(); ++i) {
    const std::string& name = required[i];
    if (std::binary_search(named.begin(), named.end(), name)) continue;
    named.insert(std::upper_bound(named.begin(), named.end(), name), name);
    const json::value any(true);
    TRY(const NodeId node, pair_of(name, additional ? *additional->value : any,
                                   additional ? additional->pointer : pointer));
    properties.push_back({name, node, true});
  }
  return properties;
}

// "{" the pairs in their order "}": an optional one may be left out, `others` may follow.
Result<NodeId> SchemaConverter::members(std::span<const Property> properties,
                                        std::optional<NodeId> others, const std::string& pointer) {
  const NodeId comma = rules_.literal(kComma);
  const NodeId close = rules_.literal("}");
  // What may follow from property i on: after one was written, and where none was.
  NodeId after = close;
  NodeId first = close;
  if (others) {
    const NodeId more = rules_.sequence({comma, *others});
    after = rules_.sequence({rules_.repeat(more, 0, Rules::kUnbounded), close});
    first = rules_.one_of({close, rules_.sequence({*others, after})});
  }
  for (size_t i = properties.size(); i-- > 0;) {
    const Property& property = properties[i];
    const std::string name = child_pointer(pointer, property.name);
    const NodeId pair = rules_.shared(name, property.pair);
    const NodeId rest = rules_.shared(name, after);
    const NodeId without = property.is_required ? rules_.none() : rules_.shared(name, first);
    const NodeId continued = rules_.sequence({comma, pair, rest});
    const NodeId begun = rules_.sequence({pair, rest});
    after = property.is_required ? continued : rules_.one_of({continued, rest});
    first = property.is_required ? begun : rules_.one_of({begun, without});
  }
  return rules_.sequence({rules_.literal("{"), first});
}

Result<NodeId> SchemaConverter::convert_map(const Keywords& keywords, NodeId pair) {
  TRY(const Counts counts, counts_of(keywords, "minProperties", "maxProperties"));
  return json_.list("{", pair, "}", counts.min, counts.max);
}

Result<void> SchemaConverter::check_num_properties(const Keywords& keywords, size_t required,
                                                   size_t named, bool has_others) const {
  TRY(const Counts counts, counts_of(keywords, "minProperties", "maxProperties"));
  if (static_cast<size_t>(counts.min) > required) {
    return fail(Code::kUnsupported,
                "{}: can be enforced only where no property is named, or where the required ones "
                "are as many",
                formats::printable(keywords.find("minProperties")->pointer));
  }
  if (counts.max != Rules::kUnbounded && (has_others || static_cast<size_t>(counts.max) < named)) {
    return fail(Code::kUnsupported,
                "{}: can be enforced only where no property is named, or where all that are named "
                "are no more",
                formats::printable(keywords.find("maxProperties")->pointer));
  }
  return {};
}

Result<NodeId> SchemaConverter::convert_object(const Keywords& keywords,
                                               const std::string& pointer) {
  TRY(const auto properties, properties_of(keywords, pointer));
  const Keyword* additional = keywords.find("additionalProperties");
  // Absent, it would allow anything; an answer keeps to the names of the schema, if it has any.
  const bool is_false =
      additional && additional->value->is_bool() && !additional->value->get_bool();
  const bool has_others = additional ? !is_false : properties.empty();
  std::optional<NodeId> others;
  if (has_others) {
    const json::value any(true);
    TRY(const NodeId value,
        convert(additional ? *additional->value : any, additional ? additional->pointer : pointer));
    std::vector<std::string> names;
    names.reserve(properties.size());
    for (const Property& property : properties) names.push_back(property.name);
    others =
        rules_.shared("additionalProperties",
                      rules_.sequence({json_.name_besides(names), rules_.literal(kColon), value}));
  }
  if (properties.empty() && others) return convert_map(keywords, *others);
  const auto required = std::count_if(properties.begin(), properties.end(),
                                      [](const Property& one) { return one.is_required; });
  TRY(check_num_properties(keywords, static_cast<size_t>(required), properties.size(),
                           others.has_value()));
  return members(properties, others, pointer);
}

Result<NodeId> SchemaConverter::convert_array(const Keywords& keywords,
                                              const std::string& pointer) {
  TRY(const Counts counts, counts_of(keywords, "minItems", "maxItems"));
  const Keyword* items = keywords.find("items");
  NodeId item = json_.value();
  if (items) {
    if (items->value->is_array()) {
      return fail(Code::kUnsupported, "{}: for a list of schemas write prefixItems",
                  formats::printable(items->pointer));
    }
    TRY(item, convert(*items->value, items->pointer));
  }
  const Keyword* prefix = keywords.find("prefixItems");
  if (!prefix) return json_.list("[", item, "]", counts.min, counts.max);
  const json::array* list = prefix->value->if_array();
  if (!list || list->size() > static_cast<size_t>(kMaxRepeat)) {
    return fail(Code::kInvalidArgument, "{}: must be a list of at most {} schemas",
                formats::printable(prefix->pointer), kMaxRepeat);
  }
  const auto num_prefix = static_cast<int>(list->size());
  const NodeId comma = rules_.literal(kComma);
  // What follows the prefix, then from its last item to its first what follows that.
  const int more_max =
      counts.max == Rules::kUnbounded ? counts.max : std::max(counts.max - num_prefix, 0);
  const NodeId more =
      rules_.repeat(rules_.sequence({comma, item}), std::max(counts.min - num_prefix, 0), more_max);
  NodeId after = rules_.sequence({num_prefix == 0 ? rules_.empty() : more, rules_.literal("]")});
  if (num_prefix == 0) return json_.list("[", item, "]", counts.min, counts.max);
  const NodeId close = rules_.literal("]");
  for (int i = num_prefix; i-- > 0;) {
    const auto at = static_cast<size_t>(i);
    const std::string name = child_pointer(prefix->pointer, fmt::format("{}", i));
    TRY(const NodeId value, convert((*list)[at], name));
    const bool may_come = counts.max == Rules::kUnbounded || i < counts.max;
    const NodeId begun =
        i == 0 ? rules_.sequence({value, after}) : rules_.sequence({comma, value, after});
    std::vector<NodeId> ways;
    if (may_come) ways.push_back(begun);
    if (i >= counts.min) ways.push_back(close);
    after = rules_.shared(name, rules_.one_of(ways));
  }
  return rules_.shared(pointer, rules_.sequence({rules_.literal("["), after}));
}

}  // namespace hachi::grammar
