// How to draw where nobody says otherwise.
#pragma once

#include "engine/sampler.h"
#include "model/config.h"

namespace hachi::engine {

// What the model's files say, else what DeepSeek advises for its reasoning models, which is mild
// for any other: temperature 0.6, top-p 0.95. The seed is 0.
SamplingParams default_sampling(const model::SamplingDefaults& defaults);

// A seed for those who give none.
uint64_t fresh_seed();

}  // namespace hachi::engine
