// SchemaReader: the keywords that hold at one place of a JSON schema, with what $ref and allOf
// bring in from elsewhere.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "core/result.h"

namespace hachi::grammar {

struct Keyword {
  std::string_view name;
  const boost::json::value* value;
  std::string pointer;  // of the value
};

// What constrains a value at one place: no annotations, no $ref, no allOf.
class Keywords {
 public:
  const Keyword* find(std::string_view name) const;
  void add(Keyword keyword) { list_.push_back(std::move(keyword)); }
  void remove(std::string_view name);
  bool is_empty() const { return list_.empty(); }
  const std::vector<Keyword>& all() const { return list_; }

 private:
  std::vector<Keyword> list_;
};

// `pointer` with one more name, escaped as RFC 6901 says.
std::string child_pointer(std::string_view pointer, std::string_view name);

class SchemaReader {
 public:
  explicit SchemaReader(const boost::json::value& root) : root_(root) {}

  // All keywords that hold at a schema. `true` has none; `false` is refused.
  Result<Keywords> gather(const boost::json::value& schema, const std::string& pointer) {
    return gather(schema, pointer, 0);
  }
  // What both ask for.
  Result<Keywords> merge(const Keywords& a, const Keywords& b);

  // The target of a "$ref" beside which nothing constrains, or null.
  const Keyword* lone_ref(const boost::json::value& schema, const std::string& pointer,
                          Keyword& storage) const;
  Result<const boost::json::value*> resolve(const Keyword& ref) const;

  // Counts a schema that is looked at; fails when they become too many.
  Result<void> count(std::string_view pointer, size_t how_many = 1);

 private:
  Result<Keywords> gather(const boost::json::value& schema, const std::string& pointer, int depth);
  // The keyword that says what `a` and `b`, of the same name, say together.
  Result<Keyword> merge_keyword(const Keyword& a, const Keyword& b);
  Result<Keyword> merge_properties(const Keyword& a, const Keyword& b);

  const boost::json::value& root_;
  std::deque<boost::json::value> made_;  // values of merged keywords
  size_t num_subschemas_ = 0;
};

}  // namespace hachi::grammar
