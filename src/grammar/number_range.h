// Numbers between bounds, as rules over their digits.
#pragma once

#include <optional>
#include <string>

#include <boost/json/value.hpp>

#include "core/result.h"
#include "grammar/rules.h"

namespace hachi::grammar {

// Digits of a bound's magnitude.
struct Decimal {
  bool is_negative = false;
  std::string whole;     // without leading zeros; "0" for 0
  std::string fraction;  // without trailing zeros

  // Fails for a number that would need more than 15 digits on a side of the point.
  static Result<Decimal> from_json(const boost::json::value& number);
  bool is_zero() const { return whole == "0" && fraction.empty(); }
};

struct Bound {
  Decimal value;
  bool is_exclusive = false;
};

// How many digits a number may have where no bound says so, on each side of the point: a double
// keeps apart any two numbers of 15 digits.
inline constexpr int kMaxBoundedDigits = 15;

// The numbers, or integers, that keep the bounds; without an exponent. None if there are none.
NodeId number_range(Rules& rules, const std::optional<Bound>& least,
                    const std::optional<Bound>& greatest, bool integers_only);

}  // namespace hachi::grammar
