// The value of an expression as people write it:
//
//   sum     = product { ("+" | "-") product }
//   product = signed { ("*" | "/" | "//" | "%") signed }
//   signed  = ("+" | "-") signed | power
//   power   = atom [ ("^" | "**") signed ]       so -2^2 is -4, and 2^3^2 is 2^9
//   atom    = number | constant | function "(" sum { "," sum } ")" | "(" sum ")"
#pragma once

#include <cstddef>
#include <string_view>

#include "agent/number.h"
#include "core/result.h"

namespace hachi::agent {

inline constexpr size_t kMaxExpressionBytes = 4096;
inline constexpr int kMaxExpressionDepth = 100;

// Fails, and says at which character, if `text` is no such expression or has no value. Never
// infinite, never NaN.
Result<Number> evaluate(std::string_view text);

}  // namespace hachi::agent
