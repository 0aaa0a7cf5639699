// Shared by decode_avx2.cc and decode_k_avx2.cc. Static: see inner_loops.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/simd_avx2.h"

namespace hachi::ops::cpu::avx2 {

// The types of 256 elements; n is a multiple of that.
void decode_q2_k(const std::byte* data, int64_t n, float* y);
void decode_q3_k(const std::byte* data, int64_t n, float* y);
void decode_q4_k(const std::byte* data, int64_t n, float* y);
void decode_q5_k(const std::byte* data, int64_t n, float* y);
void decode_q6_k(const std::byte* data, int64_t n, float* y);
void decode_iq4_xs(const std::byte* data, int64_t n, float* y);

static inline __m128i load16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
static inline __m256i load32(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
static inline __m128i low_half(__m256i v) { return _mm256_castsi256_si128(v); }
static inline __m128i high_half(__m256i v) { return _mm256_extracti128_si256(v, 1); }

// The low or high four bits of each byte.
static inline __m128i low_nibbles(__m128i b) { return _mm_and_si128(b, _mm_set1_epi8(15)); }
static inline __m128i high_nibbles(__m128i b) { return low_nibbles(_mm_srli_epi16(b, 4)); }
static inline __m256i low_nibbles(__m256i b) { return _mm256_and_si256(b, _mm256_set1_epi8(15)); }
static inline __m256i high_nibbles(__m256i b) { return low_nibbles(_mm256_srli_epi16(b, 4)); }

// Eight signed bytes as floats.
static inline __m256 floats_of_low(__m128i q) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
}
static inline __m256 floats_of_high(__m128i q) { return floats_of_low(_mm_srli_si128(q, 8)); }

// y = scale * q, of 16 signed bytes.
static inline void store_scaled(float* y, __m128i q, float scale) {
  const __m256 s = _mm256_set1_ps(scale);
  _mm256_storeu_ps(y, _mm256_mul_ps(s, floats_of_low(q)));
  _mm256_storeu_ps(y + 8, _mm256_mul_ps(s, floats_of_high(q)));
}

// y = scale * q + shift, rounded twice, as the formats define it.
static inline void store_shifted(float* y, __m128i q, float scale, float shift) {
  const __m256 s = _mm256_set1_ps(scale);
  const __m256 m = _mm256_set1_ps(shift);
  _mm256_storeu_ps(y, _mm256_add_ps(_mm256_mul_ps(s, floats_of_low(q)), m));
  _mm256_storeu_ps(y + 8, _mm256_add_ps(_mm256_mul_ps(s, floats_of_high(q)), m));
}

}  // namespace hachi::ops::cpu::avx2
