// Small vector helpers for the *_avx2.cc files alone. All are static: see inner_loops.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <immintrin.h>

namespace hachi::ops::cpu::avx2 {

// A mask of the first n of 8 lanes.
static inline __m256i first_lanes(int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), index);
}

// The sums of four vectors, each as ((0+1)+(2+3)) + ((4+5)+(6+7)).
static inline __m128 sums_of_lanes(__m256 a, __m256 b, __m256 c, __m256 d) {
  const __m256 sums = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  return _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
}

static inline float sum_of_lanes(__m256 a) { return _mm_cvtss_f32(sums_of_lanes(a, a, a, a)); }

static inline float max_of_lanes(__m256 a) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static inline __m128i load16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
static inline __m256i load32(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
static inline __m128i low_half(__m256i v) { return _mm256_castsi256_si128(v); }
static inline __m128i high_half(__m256i v) { return _mm256_extracti128_si256(v, 1); }

// Eight signed bytes as floats.
static inline __m256 floats_of_low(__m128i q) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
}
static inline __m256 floats_of_high(__m128i q) { return floats_of_low(_mm_srli_si128(q, 8)); }

static inline float load_f16(const void* data) {
  uint16_t bits;
  std::memcpy(&bits, data, sizeof bits);
  return _cvtsh_ss(bits);
}

}  // namespace hachi::ops::cpu::avx2
