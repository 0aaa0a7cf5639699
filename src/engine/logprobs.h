// Logprobs: how likely the model thought the tokens were, from the logits alone: no penalty, bias
// or temperature.
#pragma once

#include <cstdint>
#include <span>

#include "engine/request.h"

namespace hachi::engine {

// The logarithm of the sum of exp(logit); in double precision, in the order of the tokens.
double log_sum_exp(std::span<const float> logits);

// The event of `token` with its logprob and those of the `num_top` most likely tokens, of equals
// the lower id first.
TokenEvent score_event(std::span<const float> logits, int32_t token, int num_top);

}  // namespace hachi::engine
