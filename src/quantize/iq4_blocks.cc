// IQ4_NL and IQ4_XS: sixteen levels that are denser near zero.
#include <algorithm>

#include "kernels/half.h"
#include "quantize/encode.h"
#include "quantize/pack.h"
#include "quantize/scale_search.h"

namespace hachi::quantize {
namespace {

constexpr Alphabet kAlphabet(&kIQ4Levels);
constexpr ScaledFormat kIQ4_XS = {kAlphabet, {-32, 31}, 8, 32};

// 32 elements under the scale of that inverse.
void choose_levels(const float* x, float inverse, uint8_t* q) {
  for (int i = 0; i < 32; ++i) {
    q[i] = static_cast<uint8_t>(nearest_level(kIQ4Levels, x[i] * inverse));
  }
}

}  // namespace

void encode(const BlockValues& values, ops::BlockIQ4_NL* block) {
  const float scale = best_scale(values.loops, kAlphabet, values.run(0, 32)).scale;
  block->d = ops::f32_to_f16(std::clamp(scale, -kLargest, kLargest));
  uint8_t q[32];
  choose_levels(values.x, inverse_of(ops::f16_to_f32(block->d)), q);
  pack(q, block);
}

void encode(const BlockValues& values, ops::BlockIQ4_XS* block) {
  const ScaledBlock fit = fit_scaled_block(values.loops, kIQ4_XS, values.x, values.weights);
  *block = {};
  block->d = fit.d;
  uint8_t q[256];
  for (int s = 0; s < 8; ++s) {
    const int scale = fit.scales[s] + 32;
    block->scales_low[s / 2] |= static_cast<uint8_t>((scale & 15) << (s % 2 * 4));
    block->scales_high |= static_cast<uint16_t>((scale >> 4) << (s * 2));
    choose_levels(values.x + 32 * s, fit.inverse(s), q + 32 * s);
  }
  pack(q, block);
}

}  // namespace hachi::quantize
