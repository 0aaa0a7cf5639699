#include "agent/number_functions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include "formats/printable.h"

namespace hachi::agent {
namespace {

using Arguments = std::span<const Number>;

constexpr int kMaxFactorial = 170;  // 171! is beyond the doubles
constexpr int kMaxDecimals = 15;

Result<Number> absolute(Arguments a) { return is_less(a[0], Int128{0}) ? negate(a[0]) : a[0]; }

// Whole numbers stay what they are.
template <double (*round_double)(double)>
Result<Number> to_whole(Arguments a) {
  if (if_integer(a[0]) != nullptr) return a[0];
  return whole(round_double(to_double(a[0])));
}

// The decimals of the double's own value, rounded once: round(2.675, 2) is 2.67, because the double
// is a little below.
Result<Number> round_number(Arguments a) {
  if (a.size() == 1) return to_whole<std::round>(a);
  const Int128* decimals = if_integer(a[1]);
  if (decimals == nullptr || *decimals < 0 || *decimals > kMaxDecimals) {
    return fail(Code::kInvalidArgument, "round takes 0 to {} decimals", kMaxDecimals);
  }
  if (if_integer(a[0]) != nullptr) return a[0];
  const std::string text = fmt::format("{:.{}f}", to_double(a[0]), static_cast<int>(*decimals));
  double rounded = 0;
  std::from_chars(text.data(), text.data() + text.size(), rounded);
  return Number(rounded);
}

Result<Number> square_root(Arguments a) {
  const double root = std::sqrt(to_double(a[0]));
  // The double is at most one off for a square of 128 bits.
  if (const Int128* square = if_integer(a[0]); square != nullptr && *square >= 0) {
    for (Int128 n = static_cast<Int128>(root) - 1; n <= static_cast<Int128>(root) + 1; ++n) {
      Int128 product = 0;
      if (n >= 0 && !__builtin_mul_overflow(n, n, &product) && product == *square) return Number(n);
    }
  }
  return finite(root, "the sqrt of a negative number");
}

// ln and log10
template <double (*logarithm)(double)>
Result<Number> log_number(Arguments a) {
  if (to_double(a[0]) <= 0) {
    return fail(Code::kInvalidArgument, "a logarithm needs a number above 0");
  }
  return finite(logarithm(to_double(a[0])), "a logarithm");
}

Result<Number> exponential(Arguments a) { return finite(std::exp(to_double(a[0])), "an exp"); }

template <double (*function)(double)>
Result<Number> trigonometric(Arguments a) {
  return finite(function(to_double(a[0])), "a trigonometric function");
}

Result<Number> minimum(Arguments a) { return *std::min_element(a.begin(), a.end(), is_less); }
Result<Number> maximum(Arguments a) { return *std::max_element(a.begin(), a.end(), is_less); }

Result<Number> factorial(Arguments a) {
  const Int128* n = if_integer(a[0]);
  if (n == nullptr || *n < 0 || *n > kMaxFactorial) {
    return fail(Code::kInvalidArgument, "factorial takes whole numbers from 0 to {}",
                kMaxFactorial);
  }
  Number product = Int128{1};
  for (Int128 factor = 2; factor <= *n; ++factor) product = multiply(product, factor);
  return product;
}

Result<Number> greatest_common_divisor(Arguments arguments) {
  Number divisor = Int128{0};
  for (const Number& argument : arguments) {
    if (if_integer(argument) == nullptr) {
      return fail(Code::kInvalidArgument, "gcd takes whole numbers of up to 128 bits");
    }
    Number rest = argument;
    while (to_double(rest) != 0) {
      TRY(Number remainder, modulo(divisor, rest));
      divisor = rest;
      rest = remainder;
    }
  }
  return absolute(std::span(&divisor, 1));
}

struct Function {
  std::string_view name;
  size_t min_arguments;
  size_t max_arguments;
  Result<Number> (*call)(Arguments);
};

constexpr size_t kAnyNumber = SIZE_MAX;
constexpr std::array kFunctions = {
    Function{"abs", 1, 1, absolute},
    Function{"ceil", 1, 1, to_whole<std::ceil>},
    Function{"cos", 1, 1, trigonometric<std::cos>},
    Function{"exp", 1, 1, exponential},
    Function{"factorial", 1, 1, factorial},
    Function{"floor", 1, 1, to_whole<std::floor>},
    Function{"gcd", 1, kAnyNumber, greatest_common_divisor},
    Function{"ln", 1, 1, log_number<std::log>},
    Function{"log10", 1, 1, log_number<std::log10>},
    Function{"max", 1, kAnyNumber, maximum},
    Function{"min", 1, kAnyNumber, minimum},
    Function{"round", 1, 2, round_number},
    Function{"sin", 1, 1, trigonometric<std::sin>},
    Function{"sqrt", 1, 1, square_root},
    Function{"tan", 1, 1, trigonometric<std::tan>},
};

std::string function_names() {
  std::string names;
  for (const Function& function : kFunctions) {
    if (!names.empty()) names += ", ";
    names += function.name;
  }
  return names;
}

}  // namespace

Result<Number> call_function(std::string_view name, std::span<const Number> arguments) {
  for (const Function& function : kFunctions) {
    if (function.name != name) continue;
    if (arguments.size() < function.min_arguments || arguments.size() > function.max_arguments) {
      return fail(Code::kInvalidArgument, "{} does not take {} arguments", name, arguments.size());
    }
    return function.call(arguments);
  }
  return fail(Code::kInvalidArgument, "there is no function {}; there are: {}",
              formats::printable(name), function_names());
}

Result<Number> constant(std::string_view name) {
  if (name == "pi") return Number(std::numbers::pi);
  if (name == "e") return Number(std::numbers::e);
  return fail(Code::kInvalidArgument, "there is no constant {}; there are: pi, e",
              formats::printable(name));
}

}  // namespace hachi::agent
