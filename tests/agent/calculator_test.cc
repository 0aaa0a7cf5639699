#include "agent/calculator.h"

#include <cmath>
#include <random>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/call.h"
#include "agent/expression.h"

namespace hachi::agent {
namespace {

std::string value_of(std::string_view expression) {
  const auto value = evaluate(expression);
  return value ? to_text(*value) : "error: " + value.error().message;
}

bool is_error(std::string_view expression) { return !evaluate(expression); }

TEST(Calculator, KeepsIntegersExact) {
  EXPECT_EQ(value_of("1 + 2 * 3"), "7");
  EXPECT_EQ(value_of("(1 + 2) * 3"), "9");
  EXPECT_EQ(value_of("10 - 3 - 2"), "5");
  EXPECT_EQ(value_of("123456789012345678 * 987654321098765432"),
            "121932631137021794322511812221002896");
  EXPECT_EQ(value_of("2^126 - 1 + 2^126"), "170141183460469231731687303715884105727");
  EXPECT_EQ(value_of("-2^126 * 2"), "-170141183460469231731687303715884105728");
  EXPECT_EQ(value_of("170141183460469231731687303715884105727"),
            "170141183460469231731687303715884105727");
  EXPECT_EQ(value_of("12 / 4"), "3");
  EXPECT_EQ(value_of("factorial(33)"), "8683317618811886495518194401280000000");
  EXPECT_EQ(value_of("gcd(2^100, 6^40, 2^60)"), "1099511627776");
  EXPECT_EQ(value_of("sqrt(10000000000000000000000000000000000)"), "100000000000000000");
  EXPECT_EQ(value_of("floor(1e20)"), "100000000000000000000");
}

TEST(Calculator, GoesOnWithDoublesWhereIntegersEnd) {
  EXPECT_EQ(value_of("2^127"), "1.70141183460469e+38");
  EXPECT_EQ(value_of("170141183460469231731687303715884105728"), "1.70141183460469e+38");
  EXPECT_EQ(value_of("0 - 170141183460469231731687303715884105727 - 2"), "-1.70141183460469e+38");
  EXPECT_EQ(value_of("-(-2^126*2)"), "1.70141183460469e+38");
  EXPECT_EQ(value_of("(-2^126*2) / -1"), "1.70141183460469e+38");
  EXPECT_EQ(value_of("(-2^126*2) // -1"), "1.70141183460469e+38");
  EXPECT_EQ(value_of("(-2^126*2) % -1"), "0");
  EXPECT_EQ(value_of("abs(-2^126*2)"), "1.70141183460469e+38");
  EXPECT_EQ(value_of("factorial(34)"), "2.95232799039604e+38");
  EXPECT_EQ(value_of("7 / 2"), "3.5");
  EXPECT_EQ(value_of("0.1 + 0.2"), "0.3");
  EXPECT_EQ(value_of("2^-1"), "0.5");
  EXPECT_EQ(value_of("2^0.5"), "1.4142135623731");
  EXPECT_EQ(value_of("1e3 + .5"), "1000.5");
  EXPECT_EQ(value_of("-0.0"), "0");
}

TEST(Calculator, BindsAsInMathematics) {
  EXPECT_EQ(value_of("-2^2"), "-4");
  EXPECT_EQ(value_of("(-2)^2"), "4");
  EXPECT_EQ(value_of("2^3^2"), "512");
  EXPECT_EQ(value_of("2**3"), "8");
  EXPECT_EQ(value_of("2*-3"), "-6");
  EXPECT_EQ(value_of("1 - -1"), "2");
  EXPECT_EQ(value_of("--+-5"), "-5");
  EXPECT_EQ(value_of("20 / 2 / 5"), "2");
  EXPECT_EQ(value_of("20 // 3 * 2 % 5"), "2");
}

TEST(Calculator, RoundsQuotientsDown) {
  for (int a = -7; a <= 7; ++a) {
    for (int b = -3; b <= 3; ++b) {
      if (b == 0) continue;
      const std::string x = fmt::format("({})", a);
      const std::string y = fmt::format("({})", b);
      const double quotient = std::floor(static_cast<double>(a) / b);
      EXPECT_EQ(value_of(x + "//" + y), std::to_string(static_cast<int>(quotient))) << x << y;
      EXPECT_EQ(value_of(x + "%" + y), std::to_string(a - b * static_cast<int>(quotient)));
    }
  }
  EXPECT_EQ(value_of("-7.5 // 2"), "-4");
  EXPECT_EQ(value_of("-7.5 % 2"), "0.5");
  EXPECT_EQ(value_of("7.5 % -2"), "-0.5");
}

TEST(Calculator, KnowsItsFunctions) {
  EXPECT_EQ(value_of("sqrt(2)"), "1.4142135623731");
  EXPECT_EQ(value_of("sqrt(16) + abs(-3)"), "7");
  EXPECT_EQ(value_of("floor(-2.5)"), "-3");
  EXPECT_EQ(value_of("ceil(-2.5)"), "-2");
  EXPECT_EQ(value_of("round(2.5)"), "3");
  EXPECT_EQ(value_of("round(-2.5)"), "-3");
  EXPECT_EQ(value_of("round(3.14159, 2)"), "3.14");
  EXPECT_EQ(value_of("round(7, 2)"), "7");
  EXPECT_EQ(value_of("ln(e)"), "1");
  EXPECT_EQ(value_of("log10(1000)"), "3");
  EXPECT_EQ(value_of("exp(0)"), "1");
  EXPECT_EQ(value_of("sin(pi / 6)"), "0.5");
  EXPECT_EQ(value_of("cos(pi)"), "-1");
  EXPECT_EQ(value_of("tan(pi / 4)"), "1");
  EXPECT_EQ(value_of("min(3, 1.5, 2)"), "1.5");
  EXPECT_EQ(value_of("max(3, 1.5, 2^127)"), "1.70141183460469e+38");
  EXPECT_EQ(value_of("gcd(12, -18)"), "6");
  EXPECT_EQ(value_of("gcd(0, 0)"), "0");
  EXPECT_EQ(value_of("factorial(0)"), "1");
  EXPECT_EQ(value_of("2 * pi"), "6.28318530717959");
}

TEST(Calculator, SaysWhatIsWrong) {
  EXPECT_EQ(value_of(""), "error: a number is missing at the end of the expression");
  EXPECT_EQ(value_of("2 +"), "error: a number is missing at the end of the expression");
  EXPECT_EQ(value_of("2 3"), "error: an operator is missing at character 3, before '3'");
  EXPECT_EQ(value_of("(1"), "error: a ')' is missing at the end of the expression");
  EXPECT_EQ(value_of("1 / (2 - 2)"), "error: a division by zero");
  EXPECT_EQ(value_of("5 % 0.0"), "error: a division by zero");
  EXPECT_EQ(value_of("0^-1"), "error: a division by zero");
  EXPECT_EQ(value_of("tau"), "error: there is no constant 'tau'; there are: pi, e");
  EXPECT_EQ(value_of("sqrt(1, 2)"), "error: sqrt does not take 2 arguments");
  EXPECT_EQ(value_of("factorial(171)"), "error: factorial takes whole numbers from 0 to 170");
  EXPECT_NE(value_of("log(2)").find("there is no function 'log'; there are: abs,"),
            std::string::npos);
  for (const char* wrong :
       {"sqrt(-1)",      "ln(0)",    "(-8)^0.5", "1e308 * 10",   "1e308 + 1e308",
        "exp(1000)",     "10^400",   "1e400",    "1e-400",       "factorial(2.5)",
        "factorial(-1)", "gcd(1.5)", "min()",    "round(1, 16)", ".",
        "1..2",          "1e",       "2pi",      "*2",           "a.b",
        "1,2",           "()",       "2 ^",      "\x80",         "1 & 2",
        "nan",           "inf"}) {
    EXPECT_TRUE(is_error(wrong)) << wrong;
  }
  EXPECT_TRUE(is_error(std::string_view("1\0", 2)));
}

TEST(Calculator, HasLimits) {
  const auto nested = [](int depth, const char* open, const char* close) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += open;
    text += "1";
    for (int i = 0; i < depth; ++i) text += close;
    return text;
  };
  EXPECT_EQ(value_of(nested(kMaxExpressionDepth - 1, "(", ")")), "1");
  EXPECT_TRUE(is_error(nested(kMaxExpressionDepth, "(", ")")));
  EXPECT_TRUE(is_error(nested(2000, "-", "")));
  EXPECT_TRUE(is_error(nested(1000, "2^", "")));
  EXPECT_TRUE(is_error(nested(1000, "abs(", ")")));
  EXPECT_EQ(value_of("1" + std::string(kMaxExpressionBytes - 1, ' ')), "1");
  EXPECT_TRUE(is_error("1" + std::string(kMaxExpressionBytes, ' ')));
}

TEST(Calculator, AgreesWithMachineArithmetic) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    const auto a = static_cast<int64_t>(random()) >> 3;
    const auto b = static_cast<int64_t>(random()) >> 33;
    const std::string x = fmt::format("({})", a);
    const std::string y = fmt::format("({})", b);
    EXPECT_EQ(value_of(x + "+" + y), std::to_string(a + b));
    EXPECT_EQ(value_of(x + "-" + y), std::to_string(a - b));
    // The product does not fit 64 bits; divided again it is exact.
    EXPECT_EQ(value_of(x + "*" + y + "*" + y + "/" + y + "/" + y), std::to_string(a));
  }
}

TEST(Calculator, IsATool) {
  Calculator calculator;
  EXPECT_EQ(calculator.name(), "calculator");
  EXPECT_EQ(call(calculator, R"({"expression": "6 * 7"})"), "42");
  EXPECT_EQ(call(calculator, R"({"expression": 42})"),
            "error: the argument 'expression' must be a string");
  EXPECT_EQ(call(calculator, "{}"), "error: the argument 'expression' must be a string");
}

}  // namespace
}  // namespace hachi::agent
