#include "engine/constraint.h"

#include <algorithm>

namespace hachi::engine {

std::optional<int32_t> draw_token(const Sampler& sampler, Constraint* constraint,
                                  std::span<const float> logits, uint64_t position,
                                  SamplerScratch& scratch, std::span<const int32_t> banned) {
  if (constraint == nullptr) return sampler.sample(logits, position, scratch, banned);
  if (const auto forced = constraint->forced()) {
    const bool exists = *forced >= 0 && static_cast<size_t>(*forced) < logits.size();
    return exists ? forced : std::nullopt;
  }
  const std::span<const uint32_t> mask = constraint->mask();
  const bool leaves_some = mask.empty() || std::any_of(mask.begin(), mask.end(),
                                                       [](uint32_t word) { return word != 0; });
  if (!leaves_some) return std::nullopt;
  return sampler.sample(logits, position, scratch, banned, mask);
}

}  // namespace hachi::engine
