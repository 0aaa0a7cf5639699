// The values of JSON Schema's "format" that are enforced, each as a regular expression. Each
// matches only right values, and not all of them: a date has a year from 1000 on and never is 29
// February.
#pragma once

#include <optional>
#include <string_view>

namespace hachi::grammar {

// For use as a whole match; nothing for a format that is not known.
std::optional<std::string_view> format_pattern(std::string_view format);

}  // namespace hachi::grammar
