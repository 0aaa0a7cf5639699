#include "agent/tool.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <boost/json/value.hpp>

#include "formats/printable.h"

namespace hachi::agent {
namespace {

namespace json = boost::json;

constexpr int kPollMs = 50;
constexpr size_t kMaxNameLength = 64;

bool is_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kMaxNameLength &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

bool is_whole(const json::value& value) {
  if (value.is_int64() || value.is_uint64()) return true;
  const double* number = value.if_double();
  return number != nullptr && std::trunc(*number) == *number;
}

// Types that JSON Schema does not know take everything.
bool has_type(const json::value& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return is_whole(value);
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "null") return value.is_null();
  return true;
}

Result<void> check_type(std::string_view name, const json::value& value,
                        const json::value& property) {
  const json::object* schema = property.if_object();
  const json::value* type = schema == nullptr ? nullptr : schema->if_contains("type");
  if (type == nullptr) return {};
  if (const json::string* one = type->if_string()) {
    if (has_type(value, *one)) return {};
    return fail(Code::kInvalidArgument, "the argument {} must be of the type {}",
                formats::printable(name), std::string_view(*one));
  }
  const json::array* several = type->if_array();
  if (several == nullptr) return {};
  for (const json::value& each : *several) {
    const json::string* one = each.if_string();
    if (one == nullptr || has_type(value, *one)) return {};
  }
  return fail(Code::kInvalidArgument, "the argument {} is of none of its types",
              formats::printable(name));
}

}  // namespace

Result<void> CallContext::check(std::string_view what) const {
  if (is_cancelled()) return fail(Code::kCancelled, "cancelled before {} came", what);
  if (is_late()) return fail(Code::kLimit, "{} did not come within the time limit", what);
  return {};
}

int CallContext::poll_ms() const {
  if (deadline == Clock::time_point::max()) return kPollMs;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 1, kPollMs));
}

CallContext within(const CallContext& context, std::chrono::milliseconds time) {
  const Clock::time_point now = Clock::now();
  CallContext shorter = context;
  // In milliseconds, because a long time has more nanoseconds than a duration holds.
  if (time < std::chrono::floor<std::chrono::milliseconds>(Clock::time_point::max() - now)) {
    shorter.deadline = std::min(context.deadline, now + time);
  }
  return shorter;
}

Tool::Tool(std::string name, std::string description, json::object parameters)
    : name_(std::move(name)),
      description_(std::move(description)),
      parameters_(std::move(parameters)) {}

Result<void> Toolbox::add(std::unique_ptr<Tool> tool) {
  if (!is_name(tool->name())) {
    return fail(Code::kInvalidArgument,
                "a tool cannot have the name {}: it needs 1 to {} letters, digits, _ or -",
                formats::printable(tool->name()), kMaxNameLength);
  }
  if (find(tool->name()) != nullptr) {
    return fail(Code::kInvalidArgument, "there are two tools with the name {}", tool->name());
  }
  tools_.push_back(std::move(tool));
  return {};
}

Tool* Toolbox::find(std::string_view name) const {
  for (const auto& tool : tools_) {
    if (tool->name() == name) return tool.get();
  }
  return nullptr;
}

std::string Toolbox::names() const {
  std::string joined;
  for (const auto& tool : tools_) {
    if (!joined.empty()) joined += ", ";
    joined += tool->name();
  }
  return joined;
}

json::array Toolbox::definitions() const {
  json::array definitions;
  for (const auto& tool : tools_) {
    json::object function = {{"name", tool->name()}, {"description", tool->description()}};
    function["parameters"] = tool->parameters();
    json::object definition = {{"type", "function"}};
    definition["function"] = std::move(function);
    definitions.push_back(std::move(definition));
  }
  return definitions;
}

Result<void> check_arguments(const json::object& schema, const json::object& arguments) {
  const json::value* required = schema.if_contains("required");
  if (required != nullptr && required->is_array()) {
    for (const json::value& name : required->get_array()) {
      if (name.is_string() && !arguments.contains(name.get_string())) {
        return fail(Code::kInvalidArgument, "the argument {} is missing",
                    formats::printable(name.get_string()));
      }
    }
  }
  const json::value* member = schema.if_contains("properties");
  const json::object* properties = member == nullptr ? nullptr : member->if_object();
  const json::value* others = schema.if_contains("additionalProperties");
  const bool is_closed = others != nullptr && others->is_bool() && !others->get_bool();
  for (const json::key_value_pair& argument : arguments) {
    const json::value* property =
        properties == nullptr ? nullptr : properties->if_contains(argument.key());
    if (property != nullptr) {
      TRY(check_type(argument.key(), argument.value(), *property));
    } else if (is_closed) {
      return fail(Code::kInvalidArgument, "there is no argument {}",
                  formats::printable(argument.key()));
    }
  }
  return {};
}

Result<std::string_view> text_argument(const json::object& arguments, std::string_view name) {
  const json::value* value = arguments.if_contains(name);
  if (value == nullptr || !value->is_string()) {
    return fail(Code::kInvalidArgument, "the argument '{}' must be a string", name);
  }
  return std::string_view(value->get_string());
}

Result<std::optional<int64_t>> integer_argument(const json::object& arguments,
                                                std::string_view name) {
  constexpr double kExact = 9007199254740992;  // 2^53
  const json::value* value = arguments.if_contains(name);
  if (value == nullptr || value->is_null()) return std::optional<int64_t>();
  if (value->is_int64()) return std::optional(value->get_int64());
  const double* number = value->if_double();
  if (number != nullptr && is_whole(*value) && std::abs(*number) <= kExact) {
    return std::optional(static_cast<int64_t>(*number));
  }
  return fail(Code::kInvalidArgument, "the argument '{}' must be an integer", name);
}

json::object object_schema(json::object properties, const std::vector<std::string_view>& required) {
  json::object schema = {{"type", "object"}};
  schema["properties"] = std::move(properties);
  schema["required"] = json::array(required.begin(), required.end());
  schema["additionalProperties"] = false;
  return schema;
}

}  // namespace hachi::agent
