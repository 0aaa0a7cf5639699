// Names out of a file, made fit to stand in a message.
#pragma once

#include <string>
#include <string_view>

namespace hachi::formats {

// `name` in quotes: bytes that are not UTF-8 and control characters (which could drive the terminal
// that shows the message) become \xNN, and what is longer than 80 bytes is cut with "...".
std::string printable(std::string_view name);

}  // namespace hachi::formats
