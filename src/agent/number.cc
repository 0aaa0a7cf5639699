#include "agent/number.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace hachi::agent {
namespace {

constexpr double kTwoTo127 = 170141183460469231731687303715884105728.0;
constexpr Int128 kMin = static_cast<Int128>(UInt128{1} << 127);

using Operation = bool (*)(Int128, Int128, Int128*);

bool add_overflows(Int128 a, Int128 b, Int128* sum) { return __builtin_add_overflow(a, b, sum); }
bool subtract_overflows(Int128 a, Int128 b, Int128* difference) {
  return __builtin_sub_overflow(a, b, difference);
}
bool multiply_overflows(Int128 a, Int128 b, Int128* product) {
  return __builtin_mul_overflow(a, b, product);
}

// The exact result on two integers, if it fits.
std::optional<Int128> exact(const Number& a, const Number& b, Operation overflows) {
  const Int128* x = if_integer(a);
  const Int128* y = if_integer(b);
  Int128 result = 0;
  if (x == nullptr || y == nullptr || overflows(*x, *y, &result)) return std::nullopt;
  return result;
}

struct Quotient {
  Int128 quotient;
  Int128 remainder;
};

// Of integers, b not 0, rounded down. Empty where one is a double or -2^127 is divided by -1.
std::optional<Quotient> floor_quotient(const Number& a, const Number& b) {
  const Int128* x = if_integer(a);
  const Int128* y = if_integer(b);
  if (x == nullptr || y == nullptr || (*x == kMin && *y == -1)) return std::nullopt;
  Quotient result{*x / *y, *x % *y};
  if (result.remainder != 0 && (result.remainder < 0) != (*y < 0)) {
    --result.quotient;
    result.remainder += *y;
  }
  return result;
}

tl::unexpected<Error> division_by_zero() {
  return fail(Code::kInvalidArgument, "a division by zero");
}

// base^exponent by squaring, if it fits; exponent >= 0.
std::optional<Int128> exact_power(Int128 base, Int128 exponent) {
  Int128 result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return std::nullopt;
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return std::nullopt;
  }
  return result;
}

}  // namespace

double to_double(const Number& number) {
  const Int128* integer = if_integer(number);
  return integer != nullptr ? static_cast<double>(*integer) : *std::get_if<double>(&number);
}

const Int128* if_integer(const Number& number) { return std::get_if<Int128>(&number); }

Number whole(double value) {
  if (std::trunc(value) == value && std::abs(value) < kTwoTo127) return static_cast<Int128>(value);
  return value;
}

Result<Number> finite(double value, std::string_view what) {
  if (std::isnan(value)) return fail(Code::kInvalidArgument, "{} has no real value", what);
  if (std::isinf(value)) return fail(Code::kInvalidArgument, "{} is too large", what);
  return Number(value);
}

Number add(const Number& a, const Number& b) {
  if (const auto sum = exact(a, b, add_overflows)) return *sum;
  return to_double(a) + to_double(b);
}

Number subtract(const Number& a, const Number& b) {
  if (const auto difference = exact(a, b, subtract_overflows)) return *difference;
  return to_double(a) - to_double(b);
}

Number multiply(const Number& a, const Number& b) {
  if (const auto product = exact(a, b, multiply_overflows)) return *product;
  return to_double(a) * to_double(b);
}

Number negate(const Number& a) {
  if (if_integer(a) != nullptr) return subtract(Int128{0}, a);
  return -to_double(a);
}

Result<Number> divide(const Number& a, const Number& b) {
  if (to_double(b) == 0) return division_by_zero();
  const auto result = floor_quotient(a, b);
  if (result && result->remainder == 0) return Number(result->quotient);
  return finite(to_double(a) / to_double(b), "a quotient");
}

Result<Number> floor_divide(const Number& a, const Number& b) {
  if (to_double(b) == 0) return division_by_zero();
  if (const auto result = floor_quotient(a, b)) return Number(result->quotient);
  TRY(const Number quotient, finite(std::floor(to_double(a) / to_double(b)), "a quotient"));
  return whole(to_double(quotient));
}

Result<Number> modulo(const Number& a, const Number& b) {
  if (to_double(b) == 0) return division_by_zero();
  if (const auto result = floor_quotient(a, b)) return Number(result->remainder);
  const double divisor = to_double(b);
  double remainder = std::fmod(to_double(a), divisor);
  if (remainder != 0 && (remainder < 0) != (divisor < 0)) remainder += divisor;
  return finite(remainder, "a remainder");
}

Result<Number> power(const Number& a, const Number& b) {
  const Int128* base = if_integer(a);
  const Int128* exponent = if_integer(b);
  if (base != nullptr && exponent != nullptr && *exponent >= 0) {
    if (const auto result = exact_power(*base, *exponent)) return Number(*result);
  }
  if (to_double(a) == 0 && to_double(b) < 0) return division_by_zero();
  return finite(std::pow(to_double(a), to_double(b)), "a power");
}

bool is_less(const Number& a, const Number& b) {
  const Int128* x = if_integer(a);
  const Int128* y = if_integer(b);
  return x != nullptr && y != nullptr ? *x < *y : to_double(a) < to_double(b);
}

std::string to_text(const Number& number) {
  const Int128* integer = if_integer(number);
  if (integer == nullptr) {
    const double value = *std::get_if<double>(&number);
    return value == 0 ? "0" : fmt::format("{:.15g}", value);  // no -0
  }
  UInt128 rest = *integer < 0 ? -static_cast<UInt128>(*integer) : static_cast<UInt128>(*integer);
  std::string digits;
  do {
    digits += static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (*integer < 0) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace hachi::agent
