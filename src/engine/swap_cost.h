// SwapCost: whether keys and values that the device has no room for are better copied to the
// processor's memory and back, or computed again.
#pragma once

#include <cstdint>

namespace hachi::engine {

class SwapCost {
 public:
  // `copy_seconds`: what a page takes one way.
  explicit SwapCost(double copy_seconds) : copy_seconds_(copy_seconds) {}

  // A step took so long that ran `tokens`, most of them of prompts.
  void observe(int64_t tokens, double seconds) {
    tokens_ = kKept * tokens_ + static_cast<double>(tokens);
    seconds_ = kKept * seconds_ + seconds;
  }

  // Of so many tokens in so many pages. As long as no step was observed: yes.
  bool copying_is_cheaper(int64_t pages, int64_t tokens) const {
    if (tokens_ <= 0) return true;
    const double computing = static_cast<double>(tokens) * seconds_ / tokens_;
    return 2 * static_cast<double>(pages) * copy_seconds_ < computing;
  }

 private:
  // The last ten steps or so count. Sums of tokens and of seconds apart, so that large steps, which
  // are how a prompt runs, weigh more than small ones, which read all weights for few tokens.
  static constexpr double kKept = 0.9;

  double copy_seconds_;
  double tokens_ = 0, seconds_ = 0;
};

}  // namespace hachi::engine
