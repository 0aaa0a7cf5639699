// Shared by the files that unpack blocks. Static: see inner_loops.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/simd_avx2.h"
#include "kernels/unpack.h"

namespace hachi::ops::cpu::avx2 {

// The types of 256 elements; n is a multiple of that.
void unpack_q2_k(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_q3_k(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_q4_k(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_q5_k(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_q6_k(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_iq4_xs(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_iq3_s(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_iq3_xxs(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_iq2_s(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_iq2_xs(const std::byte* data, int64_t n, const UnpackedRow& row);
void unpack_iq2_xxs(const std::byte* data, int64_t n, const UnpackedRow& row);

// The low or high four bits of each byte.
static inline __m128i low_nibbles(__m128i b) { return _mm_and_si128(b, _mm_set1_epi8(15)); }
static inline __m128i high_nibbles(__m128i b) { return low_nibbles(_mm_srli_epi16(b, 4)); }
static inline __m256i low_nibbles(__m256i b) { return _mm256_and_si256(b, _mm256_set1_epi8(15)); }
static inline __m256i high_nibbles(__m256i b) { return low_nibbles(_mm256_srli_epi16(b, 4)); }
// 16 bytes that hold 32 elements: first all low halves, then all high ones.
static inline __m256i all_nibbles(__m128i b) {
  return _mm256_set_m128i(high_nibbles(b), low_nibbles(b));
}

static inline void store32(int8_t* y, __m256i q) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), q);
}

// The scale or min of both halves of 32 elements.
static inline void store_pair(float* y, float value) {
  _mm_storel_pi(reinterpret_cast<__m64*>(y), _mm_set1_ps(value));
}

// y = scale * q, of 16 signed bytes.
static inline void store_scaled(float* y, __m128i q, float scale) {
  const __m256 s = _mm256_set1_ps(scale);
  _mm256_storeu_ps(y, _mm256_mul_ps(s, floats_of_low(q)));
  _mm256_storeu_ps(y + 8, _mm256_mul_ps(s, floats_of_high(q)));
}

}  // namespace hachi::ops::cpu::avx2
