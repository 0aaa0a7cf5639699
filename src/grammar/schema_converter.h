// SchemaConverter: the work of parse_schema().
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/json/value.hpp>

#include "core/result.h"
#include "grammar/json_text.h"
#include "grammar/number_range.h"
#include "grammar/rules.h"
#include "grammar/schema_keywords.h"

namespace hachi::grammar {

class SchemaConverter {
 public:
  SchemaConverter(Rules& rules, JsonText& json, const boost::json::value& root)
      : rules_(rules), json_(json), reader_(root) {}

  // The texts of a schema, as a node that may be used in many places.
  Result<NodeId> convert(const boost::json::value& schema, const std::string& pointer);

 private:
  using Value = boost::json::value;

  struct Counts {
    int min;
    int max;  // may be Rules::kUnbounded
  };
  struct Property {
    std::string name;
    NodeId pair;  // its name, the colon and its value
    bool is_required;
  };

  Result<NodeId> convert_here(const Value& schema, const std::string& pointer);
  Result<NodeId> convert_keywords(const Keywords& keywords, const std::string& pointer);
  Result<NodeId> convert_branches(Keywords keywords, const Keyword& branches,
                                  const std::string& pointer);
  Result<NodeId> convert_values(const Keywords& keywords, const std::string& pointer);
  Result<NodeId> convert_type(const Keywords& keywords, std::string_view type,
                              const std::string& pointer);

  Result<NodeId> convert_object(const Keywords& keywords, const std::string& pointer);
  Result<std::vector<Property>> properties_of(const Keywords& keywords, const std::string& pointer);
  Result<NodeId> pair_of(std::string_view name, const Value& schema, const std::string& pointer);
  Result<NodeId> members(std::span<const Property> properties, std::optional<NodeId> others,
                         const std::string& pointer);
  Result<NodeId> convert_map(const Keywords& keywords, NodeId pair);
  Result<void> check_num_properties(const Keywords& keywords, size_t required, size_t named,
                                    bool has_others) const;

  Result<NodeId> convert_array(const Keywords& keywords, const std::string& pointer);
  Result<NodeId> convert_string(const Keywords& keywords);
  Result<NodeId> convert_number(const Keywords& keywords, bool integers_only);
  Result<std::optional<Bound>> bound_of(const Keywords& keywords, std::string_view inclusive,
                                        std::string_view exclusive, bool is_least) const;

  Result<std::vector<std::string>> types_of(const Keywords& keywords) const;
  // A whole number that is not negative; `otherwise` where the keyword is not there.
  Result<int> count_of(const Keywords& keywords, std::string_view name, int otherwise) const;
  Result<Counts> counts_of(const Keywords& keywords, std::string_view min,
                           std::string_view max) const;

  // Whether no value can satisfy both; false where that is not plain to see.
  Result<bool> are_disjoint(const Value& a, const std::string& a_pointer, const Value& b,
                            const std::string& b_pointer, int depth);

  Rules& rules_;
  JsonText& json_;
  SchemaReader reader_;
  int depth_ = 0;                                     // of convert()
  std::unordered_map<const Value*, RuleId> rule_of_;  // of the targets of references
};

}  // namespace hachi::grammar
