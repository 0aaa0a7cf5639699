#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/portable.h"
#include "kernels/decode.h"
#include "kernels/half.h"
#include "kernels/kv_page.h"

namespace hachi::ops::cpu::portable {
namespace {

// Elements [0, n) of a row of a page's matrix; those of q8_0 without their scales.
void load_row(DType dtype, const std::byte* page, int64_t columns, int64_t row, int64_t n,
              float* x) {
  if (dtype != DType::kQ8_0) {
    return decode(dtype, page + row * row_bytes(dtype, columns), n, x);
  }
  for (int64_t i = 0; i < n; ++i) {
    x[i] = static_cast<float>(static_cast<int8_t>(page[row * columns + i]));
  }
}

// The scale of element d at a position of a page, 1 but for q8_0.
float scale_of(DType dtype, const std::byte* page, int64_t width, int64_t d, int64_t slot) {
  if (dtype != DType::kQ8_0) return 1.0f;
  uint16_t bits;
  std::memcpy(&bits, kv_scales(page, width) + (d / kKvBlock * kPagePositions + slot) * 2, 2);
  return f16_to_f32(bits);
}

}  // namespace

void score_keys(const KeyTile& tile) {
  for (int64_t i = 0; i < tile.num_q; ++i) {
    std::fill_n(tile.scores + i * kRowStride, kPagePositions, 0.0f);
  }
  float keys[kPagePositions];
  for (int64_t d = 0; d < tile.width; ++d) {
    load_row(tile.dtype, tile.page, kPagePositions, d, kPagePositions, keys);
    for (int64_t s = 0; s < kPagePositions; ++s) {
      keys[s] *= scale_of(tile.dtype, tile.page, tile.width, d, s);
    }
    for (int64_t i = 0; i < tile.num_q; ++i) {
      const float q = tile.q[i * kRowStride + d];
      float* scores = tile.scores + i * kRowStride;
      for (int64_t s = 0; s < kPagePositions; ++s) scores[s] += q * keys[s];
    }
  }
}

void add_values(const ValueTile& tile) {
  float value[kSegment];
  for (int64_t s = 0; s < tile.count; ++s) {
    const int64_t slot = tile.first + s;
    load_row(tile.dtype, tile.page, tile.width, slot, tile.width, value);
    for (int64_t d = 0; d < tile.width; ++d) {
      value[d] *= scale_of(tile.dtype, tile.page, tile.width, d, slot);
    }
    for (int64_t i = 0; i < tile.num_y; ++i) {
      const float weight = tile.weights[i * kRowStride + s];
      float* y = tile.y + i * kRowStride;
      for (int64_t d = 0; d < tile.width; ++d) y[d] += weight * value[d];
    }
  }
}

SoftmaxState softmax(float* scores, int64_t count) {
  const float max = *std::max_element(scores, scores + count);
  float sum = 0;
  for (int64_t s = 0; s < count; ++s) sum += scores[s] = std::exp(scores[s] - max);
  return {max, sum};
}

void merge(SoftmaxState* into, float* y, const SoftmaxState& from, const float* sums, int64_t n) {
  const float max = std::max(into->max, from.max);
  const float old_factor = std::exp(into->max - max);
  const float new_factor = std::exp(from.max - max);
  *into = {max, into->sum * old_factor + from.sum * new_factor};
  for (int64_t d = 0; d < n; ++d) y[d] = y[d] * old_factor + sums[d] * new_factor;
}

}  // namespace hachi::ops::cpu::portable
