#include "grammar/number_range.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include <fmt/format.h>

namespace hachi::grammar {
namespace {

// The magnitudes from `low` to `high`, digit by digit. A way is "on low" as long as all of its
// digits are those of the lower bound, where the next digit must not be smaller; the same for "on
// high".
class Magnitudes {
 public:
  Magnitudes(Rules& rules, Bound low, std::optional<Bound> high, bool integers_only)
      : rules_(rules), low_(std::move(low)), high_(std::move(high)) {
    const size_t whole = high_ ? high_->value.whole.size() : low_.value.whole.size();
    if (!integers_only) max_fraction_ = kMaxBoundedDigits - std::min<size_t>(whole, 14);
    if (integers_only) max_fraction_ = 0;
  }

  NodeId all() {
    const size_t least = low_.value.whole.size();
    const size_t most = high_ ? high_->value.whole.size() : size_t{kMaxBoundedDigits};
    std::vector<NodeId> ways;
    for (size_t length = least; length <= most; ++length) {
      length_ = length;
      known_.clear();
      add(ways, whole_from(0, length == least, high_ && length == most));
    }
    return rules_.one_of(ways);
  }

 private:
  void add(std::vector<NodeId>& ways, NodeId way) const {
    if (way != 0) ways.push_back(way);  // none matches nothing
  }
  NodeId digits(char first, char last, NodeId rest) {
    if (first > last || rest == 0) return 0;
    return rules_.sequence(
        {rules_.chars({{static_cast<uint32_t>(first), static_cast<uint32_t>(last)}}), rest});
  }
  // One digit from `least` to `most`, and what `rest` makes of where that leads.
  template <class Rest>
  NodeId choose(char least, char most, bool on_low, bool on_high, const Rest& rest) {
    if (least > most) return 0;
    if (on_low && on_high && least == most) return digits(least, most, rest(true, true));
    std::vector<NodeId> ways;
    const char free_first = on_low ? static_cast<char>(least + 1) : least;
    const char free_last = on_high ? static_cast<char>(most - 1) : most;
    if (on_low) add(ways, digits(least, least, rest(true, false)));
    if (free_first <= free_last) add(ways, digits(free_first, free_last, rest(false, false)));
    if (on_high) add(ways, digits(most, most, rest(false, true)));
    return rules_.one_of(ways);
  }

  NodeId whole_from(size_t at, bool on_low, bool on_high) {
    if (at == length_) return after_whole(on_low, on_high);
    const auto key = std::tuple(true, at, on_low, on_high);
    if (const auto found = known_.find(key); found != known_.end()) return found->second;
    const char smallest = at == 0 && length_ > 1 ? '1' : '0';
    const char least = on_low ? std::max(low_.value.whole[at], smallest) : smallest;
    const char most = on_high ? high_->value.whole[at] : '9';
    const NodeId node = choose(least, most, on_low, on_high,
                               [&](bool low, bool high) { return whole_from(at + 1, low, high); });
    return known_[key] = node;
  }

  NodeId after_whole(bool on_low, bool on_high) {
    std::vector<NodeId> ways;
    if (can_end(0, on_low, on_high)) ways.push_back(rules_.empty());
    if (max_fraction_ > 0) {
      const NodeId fraction = fraction_from(0, on_low, on_high);
      if (fraction != 0) ways.push_back(rules_.sequence({rules_.literal("."), fraction}));
    }
    return rules_.one_of(ways);
  }

  bool can_end(size_t at, bool on_low, bool on_high) const {
    if (on_low && (at < low_.value.fraction.size() || low_.is_exclusive)) return false;
    const bool is_high = on_high && at >= high_->value.fraction.size();
    return !is_high || !high_->is_exclusive;
  }

  NodeId fraction_from(size_t at, bool on_low, bool on_high) {
    const auto key = std::tuple(false, at, on_low, on_high);
    if (const auto found = known_.find(key); found != known_.end()) return found->second;
    const auto digit = [at](const std::string& fraction) {
      return at < fraction.size() ? fraction[at] : '0';
    };
    const char least = on_low ? digit(low_.value.fraction) : '0';
    const char most = on_high ? digit(high_->value.fraction) : '9';
    const NodeId node = choose(least, most, on_low, on_high, [&](bool low, bool high) {
      std::vector<NodeId> ways;
      if (can_end(at + 1, low, high)) ways.push_back(rules_.empty());
      if (at + 1 < max_fraction_) add(ways, fraction_from(at + 1, low, high));
      return rules_.one_of(ways);
    });
    return known_[key] = node;
  }

  Rules& rules_;
  Bound low_;
  std::optional<Bound> high_;
  size_t max_fraction_ = 0;
  size_t length_ = 0;  // of the whole part
  std::map<std::tuple<bool, size_t, bool, bool>, NodeId> known_;
};

}  // namespace

Result<Decimal> Decimal::from_json(const boost::json::value& number) {
  std::string text;
  if (number.is_int64()) {
    text = fmt::format("{}", number.get_int64());
  } else if (number.is_uint64()) {
    text = fmt::format("{}", number.get_uint64());
  } else {
    text = fmt::format("{}", number.get_double());
    if (text.find('e') != text.npos) text = fmt::format("{:.15f}", number.get_double());
    double read = 0;
    std::from_chars(text.data(), text.data() + text.size(), read);
    if (read != number.get_double()) text.assign(2 * kMaxBoundedDigits, '9');
  }
  Decimal result;
  result.is_negative = text[0] == '-';
  if (result.is_negative) text.erase(0, 1);
  const size_t point = std::min(text.find('.'), text.size());
  result.whole = text.substr(0, point);
  result.fraction = text.substr(std::min(point + 1, text.size()));
  while (!result.fraction.empty() && result.fraction.back() == '0') result.fraction.pop_back();
  if (result.is_zero()) result.is_negative = false;
  if (result.whole.size() > kMaxBoundedDigits || result.fraction.size() > kMaxBoundedDigits ||
      result.whole.size() + result.fraction.size() > kMaxBoundedDigits + 1) {
    return fail(Code::kUnsupported, "a bound must have at most {} digits", kMaxBoundedDigits);
  }
  return result;
}

NodeId number_range(Rules& rules, const std::optional<Bound>& least,
                    const std::optional<Bound>& greatest, bool integers_only) {
  const Bound zero{{false, "0", ""}, false};
  const Bound above_zero{{false, "0", ""}, true};
  std::vector<NodeId> ways;
  if (!greatest || !greatest->value.is_negative) {
    const bool from_zero = !least || least->value.is_negative;
    ways.push_back(Magnitudes(rules, from_zero ? zero : *least, greatest, integers_only).all());
  }
  if (!least || least->value.is_negative) {
    // Without 0, which is written without a sign.
    const bool to_zero = !greatest || !greatest->value.is_negative;
    ways.push_back(rules.sequence(
        {rules.literal("-"),
         Magnitudes(rules, to_zero ? above_zero : *greatest, least, integers_only).all()}));
  }
  return rules.one_of(ways);
}

}  // namespace hachi::grammar
