#include "agent/calculator.h"

#include "agent/expression.h"
#include "agent/number.h"

namespace hachi::agent {

namespace json = boost::json;

Calculator::Calculator()
    : Tool("calculator",
           "Computes the value of an arithmetic expression. Operators: + - * / // (rounded down) % "
           "(remainder) ^ (power), parentheses. Functions: abs, ceil, cos, exp, factorial, floor, "
           "gcd, ln, log10, max, min, round(x, decimals), sin, sqrt, tan; angles in radians. "
           "Constants: pi, e. Integers are exact up to 128 bits.",
           object_schema({{"expression",
                           {{"type", "string"},
                            {"description", "the expression, for example 3 * (2 + sqrt(16))"}}}},
                         {"expression"})) {}

Result<std::string> Calculator::call(const json::object& arguments, const CallContext&) {
  TRY(const auto expression, text_argument(arguments, "expression"));
  TRY(const Number value, evaluate(expression));
  return to_text(value);
}

}  // namespace hachi::agent
