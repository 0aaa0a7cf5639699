// Q2_K, Q4_K and Q5_K: sub-blocks with a scale and a min each.
#include "quantize/encode.h"
#include "quantize/pack.h"
#include "quantize/scale_min_search.h"

namespace hachi::quantize {
namespace {

constexpr ScaleMinFormat kQ2_K = {3, 15, 16, 16};
constexpr ScaleMinFormat kQ4_K = {15, 63, 8, 32};
constexpr ScaleMinFormat kQ5_K = {31, 63, 8, 32};

// The inverse of ops::scale_min_k4().
void pack_scales_k4(const ScaleMinBlock& fit, uint8_t* packed) {
  for (int s = 0; s < 4; ++s) {
    const int scale = fit.scales[s + 4];
    const int min = fit.mins[s + 4];
    packed[s] = static_cast<uint8_t>(fit.scales[s] | (scale >> 4) << 6);
    packed[s + 4] = static_cast<uint8_t>(fit.mins[s] | (min >> 4) << 6);
    packed[s + 8] = static_cast<uint8_t>((scale & 15) | (min & 15) << 4);
  }
}

}  // namespace

void encode(const BlockValues& values, ops::BlockQ2_K* block) {
  uint8_t q[256];
  const ScaleMinBlock fit = fit_scale_min_block(values.loops, kQ2_K, values.x, values.weights, q);
  block->d = fit.d;
  block->dmin = fit.dmin;
  for (int s = 0; s < 16; ++s) {
    block->scales[s] = static_cast<uint8_t>(fit.scales[s] | fit.mins[s] << 4);
  }
  pack(q, block);
}

void encode(const BlockValues& values, ops::BlockQ4_K* block) {
  uint8_t q[256];
  const ScaleMinBlock fit = fit_scale_min_block(values.loops, kQ4_K, values.x, values.weights, q);
  block->d = fit.d;
  block->dmin = fit.dmin;
  pack_scales_k4(fit, block->scales);
  pack(q, block);
}

void encode(const BlockValues& values, ops::BlockQ5_K* block) {
  uint8_t q[256];
  const ScaleMinBlock fit = fit_scale_min_block(values.loops, kQ5_K, values.x, values.weights, q);
  block->d = fit.d;
  block->dmin = fit.dmin;
  pack_scales_k4(fit, block->scales);
  pack(q, block);
}

}  // namespace hachi::quantize
