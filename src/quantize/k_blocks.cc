// Q3_K and Q6_K: 16 sub-blocks of 16 with a scale each and no min.
#include "kernels/half.h"
#include "quantize/encode.h"
#include "quantize/scale_search.h"

namespace hachi::quantize {
namespace {

// The integers of a block, less `lowest`.
void round_block(const float* x, const ScaledBlock& fit, int lowest, int highest, int* q) {
  for (int s = 0; s < 16; ++s) {
    const float inverse = fit.inverse(s);
    for (int i = 16 * s; i < 16 * s + 16; ++i) {
      q[i] = nearest_integer(x[i] * inverse, lowest, highest) - lowest;
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
  int q[256];
  round_block(values.x, fit, -4, 3, q);
  for (int i = 0; i < 256; ++i) {
    const int group = i / 32;
    block->q[i / 128 * 32 + i % 32] |= static_cast<uint8_t>((q[i] & 3) << (group % 4 * 2));
    block->high[i % 32] |= static_cast<uint8_t>((q[i] >> 2) << group);
  }
}

void encode(const BlockValues& values, ops::BlockQ6_K* block) {
  const ScaledBlock fit = fit_scaled_block(values.loops, kQ6_K, values.x, values.weights);
  *block = {};
  block->d = fit.d;
  for (int s = 0; s < 16; ++s) {
    block->scales[s] = static_cast<int8_t>(fit.scales[s]);
  }
  int q[256];
  round_block(values.x, fit, -32, 31, q);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int j = i % 128 / 32;
    const int l = i % 32;
    block->q[half * 64 + j % 2 * 32 + l] |= static_cast<uint8_t>((q[i] & 15) << (j / 2 * 4));
    block->high[half * 32 + l] |= static_cast<uint8_t>((q[i] >> 4) << (j * 2));
  }
}

}  // namespace hachi::quantize
