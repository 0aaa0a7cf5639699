// How often one call was made in a row.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "formats/json.h"

namespace hachi::agent {

inline constexpr int kNotedRepetitions = 3;  // from here on the model is told
inline constexpr int kMaxRepetitions = 5;    // here the loop ends

// Two calls are the same if their tool is and their arguments are the same JSON, whatever the order
// of the keys and the spaces; arguments that are no JSON are compared as texts.
class Repetition {
 public:
  // Times in a row, with this one.
  int count(std::string_view name, std::string_view arguments) {
    Result<boost::json::value> parsed = formats::parse_json(arguments, "the arguments");
    boost::json::value value = parsed ? *std::move(parsed) : boost::json::value(arguments);
    const bool is_same = times_ > 0 && name == name_ && value == arguments_;
    times_ = is_same ? times_ + 1 : 1;
    name_ = name;
    arguments_ = std::move(value);
    return times_;
  }

 private:
  std::string name_;
  boost::json::value arguments_;
  int times_ = 0;
};

}  // namespace hachi::agent
