#include "kernels/logprobs.h"

#include <algorithm>
#include <cmath>

namespace hachi::ops {
namespace {

double log_sum_exp(std::span<const float> logits) {
  float best = -INFINITY;
  for (const float logit : logits) best = logit > best ? logit : best;
  double sum = 0;
  for (const float logit : logits) {
    if (!std::isnan(logit)) sum += std::exp(static_cast<double>(logit) - static_cast<double>(best));
  }
  return static_cast<double>(best) + std::log(sum);
}

// Inserts into `all.top`, best first; what falls off its end is forgotten.
void offer(TokenLogprobs& all, int num_top, TokenLogprob one) {
  const auto begin = all.top.begin();
  // Of equals the one that was there comes first: tokens are offered in the order of their ids.
  const auto place =
      std::upper_bound(begin, begin + all.num_top, one,
                       [](const auto& a, const auto& b) { return a.logprob > b.logprob; });
  if (place == begin + num_top) return;
  all.num_top = std::min(all.num_top + 1, num_top);
  std::move_backward(place, begin + all.num_top - 1, begin + all.num_top);
  *place = one;
}

}  // namespace

TokenLogprobs logprobs_of(std::span<const float> logits, int32_t token, int num_top) {
  TokenLogprobs all;
  const double total = log_sum_exp(logits);
  const auto logprob = [&](float logit) {
    const auto value = static_cast<float>(static_cast<double>(logit) - total);
    return std::isfinite(value) ? value : kNoLogprob;
  };
  all.chosen = {token, logprob(logits[static_cast<size_t>(token)])};
  if (num_top == 0) return all;
  float least = -INFINITY;
  for (size_t i = 0; i < logits.size(); ++i) {
    // Most tokens end here.
    if (all.num_top == num_top && !(logits[i] > least)) continue;
    if (std::isnan(logits[i])) continue;
    offer(all, num_top, {static_cast<int32_t>(i), logits[i]});
    least = all.top[static_cast<size_t>(all.num_top - 1)].logprob;
  }
  for (int i = 0; i < all.num_top; ++i) {
    float& value = all.top[static_cast<size_t>(i)].logprob;
    value = logprob(value);
  }
  return all;
}

}  // namespace hachi::ops
