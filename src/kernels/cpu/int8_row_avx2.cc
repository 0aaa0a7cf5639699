#include "kernels/cpu/avx2.h"
#include "kernels/cpu/simd_avx2.h"
#include "kernels/int8_row.h"

namespace hachi::ops::cpu::avx2 {
namespace {

float through_f16(float value) {
  const __m128i half =
      _mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm_cvtss_f32(_mm_cvtph_ps(half));
}

// The bits of the largest magnitude. As integers, so that a NaN is larger than all else.
int max_magnitude_bits(const float* x, int64_t n) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i m = _mm256_setzero_si256();
  for (int64_t i = 0; i < n; i += 8) {
    m = _mm256_max_epi32(m, _mm256_and_si256(load32(x + i), magnitude));
  }
  __m128i h = _mm_max_epi32(low_half(m), high_half(m));
  h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(h, _mm_shuffle_epi32(h, 0xb1)));
}

__m256i rounded8(const float* x, __m256 inverse) {
  return _mm256_cvtps_epi32(_mm256_round_ps(_mm256_mul_ps(_mm256_loadu_ps(x), inverse),
                                            _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// Rounds 16 elements and returns the sum of what they became.
int round16(const float* x, __m256 inverse, int8_t* q) {
  const __m256i words = _mm256_permute4x64_epi64(
      _mm256_packs_epi32(rounded8(x, inverse), rounded8(x + 8, inverse)), 0xd8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q),
                   _mm_packs_epi16(low_half(words), high_half(words)));
  const __m256i pairs = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
  __m128i sum = _mm_add_epi32(low_half(pairs), high_half(pairs));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

void round_block(const float* x, int64_t n, const Int8Row& row) {
  const int bits = max_magnitude_bits(x, n);
  const float max = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
  float inverse = 127.0f / max;
  float scale = n == kInt8Block ? max / 127.0f : 1.0f / inverse;
  const bool finite = max <= __FLT_MAX__;
  if (!finite || !(inverse <= __FLT_MAX__)) {
    inverse = 0;
    scale = finite ? 0.0f : __builtin_nanf("");
  }
  const bool zeros = inverse == 0;
  const __m256 inverses = _mm256_set1_ps(inverse);
  int sum = 0;
  for (int64_t i = 0; i < n; i += 16) {
    int part = 0;
    if (zeros) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(row.q + i), _mm_setzero_si128());
    } else {
      part = round16(x + i, inverses, row.q + i);
    }
    sum += part;
    row.sums[i / 16] = scale * static_cast<float>(part);
  }
  if (n == kInt8Block) {
    row.scales[0] = through_f16(scale);
    row.sums[0] = through_f16(scale * static_cast<float>(sum));
    row.sums[1] = 0;
  } else {
    for (int64_t i = 0; i < n / kInt8Block; ++i) row.scales[i] = scale;
  }
}

}  // namespace

void round_to_int8(DType dtype, const float* x, int64_t n, const Int8Row& row) {
  const int64_t block = traits(dtype).block_size;
  for (int64_t i = 0; i < n; i += block) {
    round_block(x + i, block, {row.q + i, row.scales + i / kInt8Block, row.sums + i / 16});
  }
}

}  // namespace hachi::ops::cpu::avx2
