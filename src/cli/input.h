// Texts from the command line's surroundings.
#pragma once

#include <functional>
#include <istream>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "core/result.h"

namespace hachi::cli {

inline constexpr uint64_t kMaxInputBytes = uint64_t{1} << 30;

// All of standard input. Fails with kLimit above kMaxInputBytes.
Result<std::string> read_standard_input();

// The prompt that -p gave, else standard input. Fails if that is a terminal, or the prompt is
// empty.
Result<std::string> read_prompt(const std::optional<std::string>& given);

// Calls `each` with every line of standard input that is not blank, as a JSON object; an error
// names the line.
Result<void> each_json_line(const std::function<Result<void>(const boost::json::object&)>& each);

// The string under `key`; an error names the key.
Result<std::string_view> string_field(const boost::json::object& object, std::string_view key);

}  // namespace hachi::cli
