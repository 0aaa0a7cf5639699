// JsonText: the pieces of JSON texts as rules, the same ones shared wherever they occur.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "grammar/char_set.h"
#include "grammar/rules.h"

namespace hachi::grammar {

// Between the members of an object or array, and between a name and its value.
inline constexpr std::string_view kComma = ", ";
inline constexpr std::string_view kColon = ": ";

// A value as these rules write it: with kComma and kColon, no other white space, integers in
// digits.
std::string write_json(const boost::json::value& value);

class JsonText {
 public:
  explicit JsonText(Rules& rules) : rules_(rules) {}

  // Any value, any object, any array; nested as deep as the automaton allows.
  NodeId value();
  NodeId object();
  NodeId array();
  // Any string, with its quotes.
  NodeId string();
  // With `min` to `max` (or Rules::kUnbounded) characters, an escape counting as one.
  NodeId string(int min, int max);
  NodeId quoted(NodeId characters);
  // Any integer of at most 18 digits; any number of at most 16 digits before and after the point,
  // with an exponent of at most 2.
  NodeId integer();
  NodeId number();
  NodeId boolean();
  NodeId null() { return rules_.literal("null"); }
  NodeId literal(const boost::json::value& value) { return rules_.literal(write_json(value)); }

  // One character of the set within a string; those that JSON must escape in their shortest escape.
  NodeId character(const CharSet& set);
  // Any one character within a string, escaped or not.
  NodeId any_character();
  // The whole name of a member with its quotes, of plain characters, and none of `taken`.
  NodeId name_besides(const std::vector<std::string>& taken);

  // "{" a list of one or more `pair`s "}" or "{}" as counts allow; the same for arrays.
  NodeId list(std::string_view open, NodeId item, std::string_view close, int min, int max);

 private:
  template <class Make>
  NodeId once(std::optional<NodeId>& node, std::string_view name, Make&& make);
  NodeId names_besides(const std::vector<std::u32string>& taken, size_t begin, size_t end,
                       size_t depth);

  Rules& rules_;
  std::optional<RuleId> value_;
  std::optional<NodeId> object_, array_, string_, integer_, number_, any_character_;
};

}  // namespace hachi::grammar
