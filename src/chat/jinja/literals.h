// The literals of the template language, which are Python's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace hachi::chat::jinja {

struct NumberLiteral {
  size_t length;  // bytes of it, at least 1
  bool valid;
  bool is_float;
  int64_t integer;
  double number;
};

// The number at the start of `text`, which begins with a digit.
NumberLiteral scan_number(std::string_view text, bool may_be_float);

// The text of a string literal, given what stands between its quotes.
Result<std::string> unescape(std::string_view literal);

}  // namespace hachi::chat::jinja
