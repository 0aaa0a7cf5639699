#include "formats/metadata.h"

#include <array>
#include <cmath>
#include <utility>

#include "formats/printable.h"

namespace hachi::formats {
namespace {

// By the index of Value's alternatives.
constexpr std::array<std::string_view, std::variant_size_v<Value>> kTypeNames = {
    "null",
    "an object or a list of several types",
    "a bool",
    "an integer",
    "an integer above 2^63 - 1",
    "a number",
    "a string",
    "a list of integers",
    "a list of numbers",
    "a list of strings"};

tl::unexpected<Error> wrong_type(std::string_view key, const Value& value,
                                 std::string_view wanted) {
  return fail(Code::kCorrupt, "{} is {}, where {} is needed", printable(key),
              kTypeNames[value.index()], wanted);
}

std::optional<int64_t> whole(double number) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (!(number >= -kTwoTo63 && number < kTwoTo63) || std::trunc(number) != number) return {};
  return static_cast<int64_t>(number);
}

std::optional<int64_t> as_integer(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* number = std::get_if<double>(&value)) return whole(*number);
  return {};
}

std::optional<double> as_number(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* large = std::get_if<uint64_t>(&value)) return static_cast<double>(*large);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return {};
}

}  // namespace

bool Metadata::add(std::string_view key, Value value) {
  return entries_.insert({std::string(key), std::move(value)}).second;
}

const Value* Metadata::find(std::string_view key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

Result<std::optional<int64_t>> Metadata::integer(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr || std::holds_alternative<std::monostate>(*value)) return std::nullopt;
  if (const auto integer = as_integer(*value)) return integer;
  return wrong_type(key, *value, "an integer");
}

Result<std::optional<double>> Metadata::number(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr || std::holds_alternative<std::monostate>(*value)) return std::nullopt;
  if (const auto number = as_number(*value)) return number;
  return wrong_type(key, *value, "a number");
}

Result<std::optional<bool>> Metadata::boolean(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr || std::holds_alternative<std::monostate>(*value)) return std::nullopt;
  if (const auto* boolean = std::get_if<bool>(value)) return *boolean;
  return wrong_type(key, *value, "a bool");
}

Result<std::optional<std::string_view>> Metadata::string(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr || std::holds_alternative<std::monostate>(*value)) return std::nullopt;
  if (const auto* string = std::get_if<std::string_view>(value)) return *string;
  return wrong_type(key, *value, "a string");
}

Result<std::vector<int64_t>> Metadata::integers(std::string_view key) const {
  const Value* value = find(key);
  std::vector<int64_t> list;
  if (value == nullptr || std::holds_alternative<std::monostate>(*value)) return list;
  if (const auto* integers = std::get_if<std::vector<int64_t>>(value)) return *integers;
  if (const auto integer = as_integer(*value)) {
    list.push_back(*integer);
    return list;
  }
  const auto* numbers = std::get_if<std::vector<double>>(value);
  if (numbers == nullptr) return wrong_type(key, *value, "a list of integers");
  for (const double number : *numbers) {
    const auto integer = whole(number);
    if (!integer) return wrong_type(key, *value, "a list of integers");
    list.push_back(*integer);
  }
  return list;
}

Result<std::vector<double>> Metadata::numbers(std::string_view key) const {
  const Value* value = find(key);
  std::vector<double> list;
  if (value == nullptr || std::holds_alternative<std::monostate>(*value)) return list;
  if (const auto* numbers = std::get_if<std::vector<double>>(value)) return *numbers;
  if (const auto* integers = std::get_if<std::vector<int64_t>>(value)) {
    for (const int64_t integer : *integers) list.push_back(static_cast<double>(integer));
    return list;
  }
  const auto number = as_number(*value);
  if (!number) return wrong_type(key, *value, "a list of numbers");
  list.push_back(*number);
  return list;
}

const std::vector<std::string_view>* Metadata::strings(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? nullptr : std::get_if<std::vector<std::string_view>>(value);
}

}  // namespace hachi::formats
