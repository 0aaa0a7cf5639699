#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>

namespace hachi::engine {
namespace {

// Inserts into `event.top`, best first; what falls off its end is forgotten.
void offer(TokenEvent& event, int num_top, TokenLogprob one) {
  const auto begin = event.top.begin();
  // Of equals the one that was there comes first: tokens are offered in the order of their ids.
  const auto place =
      std::upper_bound(begin, begin + event.num_top, one,
                       [](const auto& a, const auto& b) { return a.logprob > b.logprob; });
  if (place == begin + num_top) return;
  event.num_top = std::min(event.num_top + 1, num_top);
  std::move_backward(place, begin + event.num_top - 1, begin + event.num_top);
  *place = one;
}

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  const double best = static_cast<double>(logits[static_cast<size_t>(most_likely(logits))]);
  double sum = 0;
  for (const float logit : logits) {
    if (!std::isnan(logit)) sum += std::exp(static_cast<double>(logit) - best);
  }
  return best + std::log(sum);
}

TokenEvent score_event(std::span<const float> logits, int32_t token, int num_top) {
  TokenEvent event;
  const double total = log_sum_exp(logits);
  const auto logprob = [&](float logit) {
    const auto value = static_cast<float>(static_cast<double>(logit) - total);
    return std::isfinite(value) ? value : kNoLogprob;
  };
  event.chosen = {token, logprob(logits[static_cast<size_t>(token)])};
  if (num_top == 0) return event;
  float least = -INFINITY;
  for (size_t i = 0; i < logits.size(); ++i) {
    // Most tokens end here.
    if (event.num_top == num_top && !(logits[i] > least)) continue;
    if (std::isnan(logits[i])) continue;
    offer(event, num_top, {static_cast<int32_t>(i), logits[i]});
    least = event.top[static_cast<size_t>(event.num_top - 1)].logprob;
  }
  for (int i = 0; i < event.num_top; ++i) {
    float& value = event.top[static_cast<size_t>(i)].logprob;
    value = logprob(value);
  }
  return event;
}

}  // namespace hachi::engine
