// Logprobs: how likely a model thought tokens were, from its logits alone: no penalty, bias or
// temperature.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace hachi::ops {

inline constexpr int kMaxTopLogprobs = 20;

// Stands for the logarithm of 0, which JSON cannot say.
inline constexpr float kNoLogprob = -9999;

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // natural logarithm of its probability
};

// Of one row of logits.
struct TokenLogprobs {
  TokenLogprob chosen;
  int32_t num_top = 0;
  std::array<TokenLogprob, kMaxTopLogprobs> top;  // the most likely tokens, best first

  std::span<const TokenLogprob> most_likely() const {
    return {top.data(), static_cast<size_t>(num_top)};
  }
};

// The logprob of `token` and those of the `num_top` most likely tokens, of equals the lower id
// first; NaN is none of them. The sum of exp(logit) is in double precision, in the order of the
// tokens.
TokenLogprobs logprobs_of(std::span<const float> logits, int32_t token, int num_top);

}  // namespace hachi::ops
