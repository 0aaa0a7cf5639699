// The numbers of the calculator: integers of 128 bits as long as they are exact, doubles from
// there.
#pragma once

#include <string>
#include <variant>

#include "core/result.h"

namespace hachi::agent {

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UInt128;

// What does not fit an Int128 goes on as the nearest double; a double never turns back but through
// floor, ceil and round.
using Number = std::variant<Int128, double>;

double to_double(const Number& number);
const Int128* if_integer(const Number& number);  // null if it is a double

// The number as an Int128 if it is whole and fits, else as it is.
Number whole(double value);

// `value`, or an error where it is no finite number ("sqrt(-1) has no real value").
Result<Number> finite(double value, std::string_view what);

Number add(const Number& a, const Number& b);
Number subtract(const Number& a, const Number& b);
Number multiply(const Number& a, const Number& b);
Number negate(const Number& a);
Result<Number> divide(const Number& a, const Number& b);        // exact if it comes out whole
Result<Number> floor_divide(const Number& a, const Number& b);  // rounds down
Result<Number> modulo(const Number& a, const Number& b);        // has the sign of b
Result<Number> power(const Number& a, const Number& b);

bool is_less(const Number& a, const Number& b);

// All digits of an integer, 15 significant digits of a double.
std::string to_text(const Number& number);

}  // namespace hachi::agent
