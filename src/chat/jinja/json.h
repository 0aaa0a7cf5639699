// JSON in and out of the template language.
#pragma once

#include <optional>
#include <string>

#include <boost/json/value.hpp>

#include "chat/jinja/value.h"

namespace hachi::chat::jinja {

// Every string of it, names of members too, with the mark `trust`. Integers above 2^63 - 1 become
// floats. Bytes that are not UTF-8 become U+FFFD.
Result<Value> from_json(Budget& budget, const boost::json::value& json, Trust trust);

// How Python's json.dumps writes.
struct JsonStyle {
  std::optional<std::string> indent;  // one level of it; nothing for all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ascii_only = false;
  bool sort_keys = false;
};
Result<TextPtr> to_json(Budget& budget, const Value& value, const JsonStyle& style);

}  // namespace hachi::chat::jinja
