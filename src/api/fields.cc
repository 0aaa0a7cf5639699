#include "api/fields.h"

#include <algorithm>
#include <cmath>

#include <boost/json/serialize.hpp>

#include "formats/json.h"
#include "formats/printable.h"

namespace hachi::api {
namespace {

bool is_integral(const json::value& value) {
  return value.is_int64() || value.is_uint64() ||
         (value.is_double() && std::trunc(value.get_double()) == value.get_double());
}

// A key that a client chose, fit for a path.
std::string path_part(std::string_view name) {
  const std::string quoted = formats::printable(name);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

std::optional<int64_t> as_integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  constexpr double kTwo63 = 9223372036854775808.0;
  if (!value.is_double() || !is_integral(value)) return std::nullopt;
  const double number = value.get_double();
  if (number < -kTwo63 || number >= kTwo63) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::string element_path(std::string_view list_path, size_t index) {
  return fmt::format("{}[{}]", list_path, index);
}

std::string shown(const json::value& value) {
  switch (value.kind()) {
    case json::kind::string:
      return formats::printable(value.get_string());
    case json::kind::array:
      return value.get_array().empty() ? "an empty list" : "a list";
    case json::kind::object:
      return "an object";
    case json::kind::double_:
      return fmt::format("{}", value.get_double());
    default:
      return json::serialize(value);
  }
}

FieldReader::FieldReader(const json::object& object, std::string path, FirstError& error)
    : object_(object), path_(std::move(path)), error_(error), asked_(object.size()) {}

std::string FieldReader::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void FieldReader::fail_with(std::string_view name, std::string message) {
  std::string path = path_of(name);
  error_ = ApiError{400, fmt::format("{} {}", path, message), path, "invalid_value"};
}

void FieldReader::fail_type(std::string_view name, std::string_view wanted,
                            const json::value& got) {
  fail_with(name, fmt::format("must be {}, got {}", wanted, shown(got)));
}

const json::value* FieldReader::any(std::string_view name) {
  if (failed()) return nullptr;
  const auto found = object_.find(name);
  if (found == object_.end()) return nullptr;
  asked_[static_cast<size_t>(found - object_.begin())] = true;
  return found->value().is_null() ? nullptr : &found->value();
}

std::optional<int64_t> FieldReader::integer(std::string_view name, Range<int64_t> range) {
  const json::value* value = any(name);
  if (!value) return std::nullopt;
  if (!is_integral(*value)) {
    fail_type(name, "an integer", *value);
    return std::nullopt;
  }
  const std::optional<int64_t> number = as_integer(*value);  // null: outside of 64 bits
  const bool negative = value->is_double() && value->get_double() < 0;
  if (number ? *number < range.min : negative) {
    fail(name, "must be at least {}, got {}", range.min, shown(*value));
  } else if (!number || *number > range.max) {
    fail(name, "must be at most {}, got {}", range.max, shown(*value));
  }
  return failed() ? std::nullopt : number;
}

std::optional<double> FieldReader::number(std::string_view name, Range<double> range) {
  const json::value* value = any(name);
  if (!value) return std::nullopt;
  if (!value->is_number()) {
    fail_type(name, "a number", *value);
    return std::nullopt;
  }
  const double number = value->to_number<double>();
  if (number < range.min) fail(name, "must be at least {}, got {}", range.min, shown(*value));
  if (number > range.max) fail(name, "must be at most {}, got {}", range.max, shown(*value));
  if (failed()) return std::nullopt;
  return number + 0.0;  // -0 becomes 0
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
  const json::value* value = any(name);
  if (!value) return std::nullopt;
  if (!value->is_bool()) {
    fail_type(name, "true or false", *value);
    return std::nullopt;
  }
  return value->get_bool();
}

std::optional<std::string> FieldReader::text(std::string_view name, size_t max_bytes) {
  const json::value* value = any(name);
  if (!value) return std::nullopt;
  if (!value->is_string()) {
    fail_type(name, "a string", *value);
    return std::nullopt;
  }
  const std::string_view text = value->get_string();
  if (text.size() > max_bytes) {
    fail(name, "must have at most {} bytes, got {}", max_bytes, text.size());
    return std::nullopt;
  }
  return std::string(text);
}

std::optional<std::string_view> FieldReader::word(std::string_view name,
                                                  std::initializer_list<std::string_view> words) {
  const json::value* value = any(name);
  if (!value) return std::nullopt;
  if (value->is_string()) {
    const auto found = std::find(words.begin(), words.end(), std::string_view(value->get_string()));
    if (found != words.end()) return *found;
  }
  const std::string_view one_of = words.size() == 1 ? "" : "one of ";
  fail(name, "must be {}'{}', got {}", one_of, fmt::join(words, "', '"), shown(*value));
  return std::nullopt;
}

const json::object* FieldReader::object(std::string_view name) {
  const json::value* value = any(name);
  if (!value || value->is_object()) return value ? value->if_object() : nullptr;
  fail_type(name, "an object", *value);
  return nullptr;
}

const json::array* FieldReader::list(std::string_view name, size_t max_length) {
  const json::value* value = any(name);
  if (!value) return nullptr;
  const json::array* list = value->if_array();
  if (!list) {
    fail_type(name, "a list", *value);
  } else if (list->size() > max_length) {
    fail(name, "must have at most {} elements, got {}", max_length, list->size());
  }
  return failed() ? nullptr : list;
}

void FieldReader::require(std::string_view name) {
  if (failed()) return;
  const json::value* value = object_.if_contains(name);
  if (value && !value->is_null()) return;
  fail(name, "is required");
  error_->code = "missing_required_parameter";
}

void FieldReader::unsupported(std::string_view name,
                              std::initializer_list<std::string_view> words) {
  const json::value* value = any(name);
  if (!value) return;
  if (value->is_bool() && !value->get_bool()) return;
  if (value->is_array() && value->get_array().empty()) return;
  if (value->is_object() && value->get_object().empty()) return;
  if (value->is_string()) {
    const std::string_view text = value->get_string();
    if (std::find(words.begin(), words.end(), text) != words.end()) return;
  }
  if (words.size() == 0) {
    fail(name, "is not supported yet: leave it out");
  } else {
    fail(name, "is not supported yet, except as '{}', got {}", fmt::join(words, "' or '"),
         shown(*value));
  }
  error_->code = "unsupported_parameter";
}

void FieldReader::finish() {
  if (failed()) return;
  const auto unknown = std::find(asked_.begin(), asked_.end(), false);
  if (unknown == asked_.end()) return;
  const std::string_view key = (object_.begin() + (unknown - asked_.begin()))->key();
  fail(path_part(key), "is not a field that is known here");
  error_->code = "unknown_parameter";
}

std::optional<FieldReader> read_element(const json::value& value, std::string_view list_path,
                                        size_t index, FirstError& error) {
  if (error) return std::nullopt;
  std::string path = element_path(list_path, index);
  if (const json::object* object = value.if_object()) {
    return FieldReader(*object, std::move(path), error);
  }
  error = invalid_field(path, "{} must be an object, got {}", path, shown(value));
  return std::nullopt;
}

std::optional<std::string> text_element(const json::value& value, std::string_view list_path,
                                        size_t index, size_t max_bytes, FirstError& error) {
  if (error) return std::nullopt;
  const std::string path = element_path(list_path, index);
  if (!value.is_string()) {
    error = invalid_field(path, "{} must be a string, got {}", path, shown(value));
    return std::nullopt;
  }
  const std::string_view text = value.get_string();
  if (text.size() > max_bytes) {
    error =
        invalid_field(path, "{} must have at most {} bytes, got {}", path, max_bytes, text.size());
    return std::nullopt;
  }
  return std::string(text);
}

std::vector<int32_t> token_elements(const json::array& list, std::string_view list_path,
                                    FirstError& error) {
  std::vector<int32_t> out;
  if (error) return out;
  out.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::optional<int64_t> token = as_integer(list[i]);
    if (!token || *token < 0 || *token > kMaxInt32) {
      const std::string path = element_path(list_path, i);
      error = invalid_field(path, "{} must be a token id, which is 0 to {}, got {}", path,
                            kMaxInt32, shown(list[i]));
      return {};
    }
    out.push_back(static_cast<int32_t>(*token));
  }
  return out;
}

json::object parse_request(std::string_view text, FirstError& error) {
  auto parsed = formats::parse_json(text, "the request");
  if (!parsed) {
    const bool too_large = parsed.error().code == Code::kLimit;
    error = ApiError{too_large ? 413 : 400, parsed.error().message, "",
                     too_large ? "request_too_large" : "invalid_json"};
    return {};
  }
  if (!parsed->is_object()) {
    error = ApiError{400, fmt::format("the request must be a JSON object, got {}", shown(*parsed)),
                     "", "invalid_json"};
    return {};
  }
  return std::move(parsed->get_object());
}

}  // namespace hachi::api
