// Q3_K and Q6_K: 16 sub-blocks of 16 with a scale each and no min.
#include "kernels/half.h"
#include "quantize/encode.h"
#include "quantize/pack.h"
#include "quantize/scale_search.h"

namespace hachi::quantize {
namespace {

// The integers of a block, less `lowest`.
void round_block(const float* x, const ScaledBlock& fit, int lowest, int highest, uint8_t* q) {
  for (int s = 0; s < 16; ++s) {
    const float inverse = fit.inverse(s);
    for (int i = 16 * s; i < 16 * s + 16; ++i) {
      q[i] = static_cast<uint8_t>(nearest_integer(x[i] * inverse, lowest, highest) - lowest);
    }
  }
}

constexpr ScaledFormat kQ3_K = {{-4, 3}, {-32, 31}, 16, 16};
constexpr ScaledFormat kQ6_K = {{-32, 31}, {-128, 127}, 16, 16};

}  // namespace

void encode(const BlockValues& values, ops::BlockQ3_K* block) {
  const ScaledBlock fit = fit_scaled_block(values.loops, kQ3_K, values.x, values.weights);
  *block = {};
  block->d = fit.d;
  for (int s = 0; s < 16; ++s) {
    const int scale = fit.scales[s] + 32;
    block->scales[s % 8] |= static_cast<uint8_t>((scale & 15) << (s / 8 * 4));
    block->scales[8 + s % 4] |= static_cast<uint8_t>((scale >> 4) << (s / 4 * 2));
  }
  uint8_t q[256];
  round_block(values.x, fit, -4, 3, q);
  pack(q, block);
}

void encode(const BlockValues& values, ops::BlockQ6_K* block) {
  const ScaledBlock fit = fit_scaled_block(values.loops, kQ6_K, values.x, values.weights);
  block->d = fit.d;
  for (int s = 0; s < 16; ++s) {
    block->scales[s] = static_cast<int8_t>(fit.scales[s]);
  }
  uint8_t q[256];
  round_block(values.x, fit, -32, 31, q);
  pack(q, block);
}

}  // namespace hachi::quantize
