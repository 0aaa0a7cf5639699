// The named functions and constants of the calculator. Angles are in radians.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "agent/number.h"
#include "core/result.h"

namespace hachi::agent {

// abs, ceil, cos, exp, factorial, floor, gcd, ln, log10, max, min, round (to whole numbers, halves
// away from zero; with a second argument of 0 to 15 to so many decimals), sin, sqrt, tan.
// Fails if there is no such function, it takes another number of arguments, or it has no value.
Result<Number> call_function(std::string_view name, std::span<const Number> arguments);

// pi and e.
Result<Number> constant(std::string_view name);

}  // namespace hachi::agent
