#include "kernels/int8_row.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "kernels/half.h"

namespace hachi::ops {
namespace {

float through_f16(float value) { return f16_to_f32(f32_to_f16(value)); }

// The largest magnitude; a NaN is larger than all else.
float max_magnitude(const float* x, int64_t n) {
  uint32_t bits = 0;
  for (int64_t i = 0; i < n; ++i) {
    bits = std::max(bits, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  }
  return std::bit_cast<float>(bits);
}

// To the nearest integer, ties to even: 1.5 * 2^23 + value has no bits below one.
int8_t nearest(float value) {
  constexpr float kShift = 0x1.8p23f;
  return static_cast<int8_t>(static_cast<int>((value + kShift) - kShift));
}

int sum_of(const int8_t* q, int64_t n) {
  int sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += q[i];
  return sum;
}

void round_block(const float* x, int64_t n, const Int8Row& row) {
  const float max = max_magnitude(x, n);
  const float inverse = 127.0f / max;
  const bool finite = max <= std::numeric_limits<float>::max();
  const bool rounds = finite && inverse <= std::numeric_limits<float>::max();
  for (int64_t i = 0; i < n; ++i) row.q[i] = rounds ? nearest(x[i] * inverse) : int8_t{0};
  float scale = n == kInt8Block ? max / 127.0f : 1.0f / inverse;
  if (!rounds) scale = finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  if (n == kInt8Block) {
    row.scales[0] = through_f16(scale);
    row.sums[0] = through_f16(scale * static_cast<float>(sum_of(row.q, n)));
    row.sums[1] = 0;
    return;
  }
  std::fill(row.scales, row.scales + n / kInt8Block, scale);
  for (int64_t i = 0; i < n; i += 16) {
    row.sums[i / 16] = scale * static_cast<float>(sum_of(row.q + i, 16));
  }
}

}  // namespace

void round_to_int8(DType dtype, const float* x, int64_t n, const Int8Row& row) {
  const int64_t block = traits(dtype).block_size;
  CHECK(block == kInt8Block || block == 256);
  CHECK_EQ(n % block, 0);
  for (int64_t i = 0; i < n; i += block) {
    round_block(x + i, block, {row.q + i, row.scales + i / kInt8Block, row.sums + i / 16});
  }
}

}  // namespace hachi::ops
