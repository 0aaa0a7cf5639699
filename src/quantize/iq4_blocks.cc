// IQ4_NL and IQ4_XS: sixteen levels that are denser near zero.
#include <algorithm>

#include "kernels/half.h"
#include "quantize/encode.h"
#include "quantize/scale_search.h"

namespace hachi::quantize {
namespace {

constexpr Levels kLevels = make_levels(ops::kIQ4Values);
constexpr Alphabet kAlphabet(&kLevels);
constexpr ScaledFormat kIQ4_XS = {kAlphabet, {-32, 31}, 8, 32};

// 32 elements: first all low, then all high fours.
void pack(const float* x, float inverse, uint8_t* packed) {
  for (int j = 0; j < 16; ++j) {
    int level[2];
    for (int half = 0; half < 2; ++half) {
      const float v = x[j + 16 * half] * inverse;
      level[half] = static_cast<int>(std::lower_bound(kLevels.borders, kLevels.borders + 15, v) -
                                     kLevels.borders);
    }
    packed[j] = static_cast<uint8_t>(level[0] | level[1] << 4);
  }
}

}  // namespace

void encode(const BlockValues& values, ops::BlockIQ4_NL* block) {
  const float scale = best_scale(values.loops, kAlphabet, values.run(0, 32)).scale;
  block->d = ops::f32_to_f16(std::clamp(scale, -kLargest, kLargest));
  pack(values.x, inverse_of(ops::f16_to_f32(block->d)), block->q);
}

void encode(const BlockValues& values, ops::BlockIQ4_XS* block) {
  const ScaledBlock fit = fit_scaled_block(values.loops, kIQ4_XS, values.x, values.weights);
  *block = {};
  block->d = fit.d;
  for (int s = 0; s < 8; ++s) {
    const int scale = fit.scales[s] + 32;
    block->scales_low[s / 2] |= static_cast<uint8_t>((scale & 15) << (s % 2 * 4));
    block->scales_high |= static_cast<uint16_t>((scale >> 4) << (s * 2));
    pack(values.x + 32 * s, fit.inverse(s), block->q + 16 * s);
  }
}

}  // namespace hachi::quantize
