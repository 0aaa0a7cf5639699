// Fields of the JSON objects in a tokenizer.json, with errors that name the field. A field that is
// missing or null is "not there".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "core/result.h"

namespace hachi::tokenizer {

namespace json = boost::json;

// A text from a file as an error message may show it: not longer than a line.
inline std::string_view shown(std::string_view text) { return text.substr(0, 64); }

inline const json::value* field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

inline tl::unexpected<Error> wrong_type(std::string_view name, std::string_view where,
                                        std::string_view wanted) {
  return fail(Code::kCorrupt, "tokenizer.json: '{}' of {} is not {}", name, where, wanted);
}

inline Result<const json::object*> object_field(const json::object& object, std::string_view name,
                                                std::string_view where) {
  const json::value* value = field(object, name);
  if (value != nullptr && !value->is_object()) return wrong_type(name, where, "an object");
  return value == nullptr ? nullptr : value->if_object();
}

inline Result<const json::array*> array_field(const json::object& object, std::string_view name,
                                              std::string_view where) {
  const json::value* value = field(object, name);
  if (value != nullptr && !value->is_array()) return wrong_type(name, where, "a list");
  return value == nullptr ? nullptr : value->if_array();
}

inline Result<std::optional<std::string_view>> string_field(const json::object& object,
                                                            std::string_view name,
                                                            std::string_view where) {
  const json::value* value = field(object, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong_type(name, where, "a text");
  return std::string_view(value->get_string());
}

inline Result<bool> bool_field(const json::object& object, std::string_view name, bool fallback,
                               std::string_view where) {
  const json::value* value = field(object, name);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) return wrong_type(name, where, "true or false");
  return value->get_bool();
}

}  // namespace hachi::tokenizer
