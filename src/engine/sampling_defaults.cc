#include "engine/sampling_defaults.h"

#include <random>

namespace hachi::engine {

SamplingParams default_sampling(const model::SamplingDefaults& defaults) {
  return {.temperature = defaults.temperature.value_or(0.6),
          .top_k = defaults.top_k.value_or(0),
          .top_p = defaults.top_p.value_or(0.95),
          .min_p = defaults.min_p.value_or(0),
          .repetition_penalty = defaults.repetition_penalty.value_or(1)};
}

uint64_t fresh_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace hachi::engine
