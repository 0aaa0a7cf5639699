#include "kernels/cpu/decode_avx2.h"

#include <cstddef>

#include "kernels/blocks.h"
#include "kernels/cpu/avx2.h"

namespace hachi::ops::cpu::avx2 {
namespace {

// Plain floats: eight at a time, and the rest through a padded copy. `convert` is a lambda, of a
// type of its own, so that it is inlined.
template <size_t kBytes, class Convert>
void decode_floats(const std::byte* data, int64_t n, float* y, const Convert& convert) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, convert(data + i * kBytes));
  if (i == n) return;
  std::byte rest[8 * kBytes] = {};
  std::memcpy(rest, data + i * kBytes, static_cast<size_t>(n - i) * kBytes);
  _mm256_maskstore_ps(y + i, first_lanes(n - i), convert(rest));
}

__m256 floats_of_f16(const std::byte* data) { return _mm256_cvtph_ps(load16(data)); }

__m256 floats_of_bf16(const std::byte* data) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(data)), 16));
}

// By way of f16: the same layout with one exponent bit more, so that subnormals come out right, and
// a bias that is 8 larger. All ones, which f16 would take for 480 / 2^8, becomes a NaN.
__m256 floats_of_f8(const std::byte* data) {
  const __m128i words = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(data)));
  const __m128i magnitude = _mm_slli_epi16(_mm_and_si128(words, _mm_set1_epi16(0x7f)), 7);
  const __m128i sign = _mm_slli_epi16(_mm_and_si128(words, _mm_set1_epi16(0x80)), 8);
  const __m128i is_nan = _mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x7f << 7));
  const __m128i nan = _mm_and_si128(is_nan, _mm_set1_epi16(0x7c00));
  const __m128i half = _mm_or_si128(_mm_or_si128(magnitude, sign), nan);
  return _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256.0f));
}

void decode_q4_0(const std::byte* data, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ4_0)) {
    const float d = load_f16(data + offsetof(BlockQ4_0, d));
    const __m128i q = load16(data + offsetof(BlockQ4_0, q));
    const __m128i eight = _mm_set1_epi8(8);
    store_scaled(y + i, _mm_sub_epi8(low_nibbles(q), eight), d);
    store_scaled(y + i + 16, _mm_sub_epi8(high_nibbles(q), eight), d);
  }
}

void decode_q4_1(const std::byte* data, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ4_1)) {
    const float d = load_f16(data + offsetof(BlockQ4_1, d));
    const float m = load_f16(data + offsetof(BlockQ4_1, m));
    const __m128i q = load16(data + offsetof(BlockQ4_1, q));
    store_shifted(y + i, low_nibbles(q), d, m);
    store_shifted(y + i + 16, high_nibbles(q), d, m);
  }
}

// The five-bit values of 32 elements: four bits at `q`, the fifth at `high`.
__m256i five_bits(const std::byte* q, const std::byte* high) {
  int bits;
  std::memcpy(&bits, high, sizeof bits);
  // Each byte gets the byte of `high` that its bit is in, then is tested for that bit.
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                          2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  const __m128i packed = load16(q);
  const __m256i low = _mm256_set_m128i(high_nibbles(packed), low_nibbles(packed));
  return _mm256_or_si256(low, _mm256_and_si256(set, _mm256_set1_epi8(16)));
}

void decode_q5_0(const std::byte* data, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ5_0)) {
    const float d = load_f16(data + offsetof(BlockQ5_0, d));
    const __m256i q =
        _mm256_sub_epi8(five_bits(data + offsetof(BlockQ5_0, q), data + offsetof(BlockQ5_0, high)),
                        _mm256_set1_epi8(16));
    store_scaled(y + i, low_half(q), d);
    store_scaled(y + i + 16, high_half(q), d);
  }
}

void decode_q5_1(const std::byte* data, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ5_1)) {
    const float d = load_f16(data + offsetof(BlockQ5_1, d));
    const float m = load_f16(data + offsetof(BlockQ5_1, m));
    const __m256i q = five_bits(data + offsetof(BlockQ5_1, q), data + offsetof(BlockQ5_1, high));
    store_shifted(y + i, low_half(q), d, m);
    store_shifted(y + i + 16, high_half(q), d, m);
  }
}

void decode_q8_0(const std::byte* data, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ8_0)) {
    const float d = load_f16(data + offsetof(BlockQ8_0, d));
    const __m256i q = load32(data + offsetof(BlockQ8_0, q));
    store_scaled(y + i, low_half(q), d);
    store_scaled(y + i + 16, high_half(q), d);
  }
}

void decode_iq4_nl(const std::byte* data, int64_t n, float* y) {
  const __m128i levels = load16(kIQ4Values);
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockIQ4_NL)) {
    const float d = load_f16(data + offsetof(BlockIQ4_NL, d));
    const __m128i q = load16(data + offsetof(BlockIQ4_NL, q));
    store_scaled(y + i, _mm_shuffle_epi8(levels, low_nibbles(q)), d);
    store_scaled(y + i + 16, _mm_shuffle_epi8(levels, high_nibbles(q)), d);
  }
}

__m128i bf16_of_floats(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i top = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
  const __m256 is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
  return _mm_packus_epi32(low_half(chosen), high_half(chosen));
}

template <class Convert>
void encode_floats(const float* x, int64_t n, std::byte* data, const Convert& convert) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(data + 2 * i), convert(_mm256_loadu_ps(x + i)));
  }
  if (i == n) return;
  std::byte rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest),
                   convert(_mm256_maskload_ps(x + i, first_lanes(n - i))));
  std::memcpy(data + 2 * i, rest, static_cast<size_t>(n - i) * 2);
}

}  // namespace

void decode(DType dtype, const std::byte* data, int64_t n, float* y) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(y, data, static_cast<size_t>(n) * 4);
      return;
    case DType::kF16:
      return decode_floats<2>(data, n, y, [](const std::byte* at) { return floats_of_f16(at); });
    case DType::kBF16:
      return decode_floats<2>(data, n, y, [](const std::byte* at) { return floats_of_bf16(at); });
    case DType::kF8E4M3:
      return decode_floats<1>(data, n, y, [](const std::byte* at) { return floats_of_f8(at); });
    case DType::kQ4_0:
      return decode_q4_0(data, n, y);
    case DType::kQ4_1:
      return decode_q4_1(data, n, y);
    case DType::kQ5_0:
      return decode_q5_0(data, n, y);
    case DType::kQ5_1:
      return decode_q5_1(data, n, y);
    case DType::kQ8_0:
      return decode_q8_0(data, n, y);
    case DType::kQ2_K:
      return decode_q2_k(data, n, y);
    case DType::kQ3_K:
      return decode_q3_k(data, n, y);
    case DType::kQ4_K:
      return decode_q4_k(data, n, y);
    case DType::kQ5_K:
      return decode_q5_k(data, n, y);
    case DType::kQ6_K:
      return decode_q6_k(data, n, y);
    case DType::kIQ4_NL:
      return decode_iq4_nl(data, n, y);
    case DType::kIQ4_XS:
      return decode_iq4_xs(data, n, y);
    case DType::kI32:
      return;  // no type of weights: the ops have checked
  }
}

void encode(DType dtype, const float* x, int64_t n, std::byte* data) {
  if (dtype == DType::kF32) {
    std::memcpy(data, x, static_cast<size_t>(n) * 4);
  } else if (dtype == DType::kF16) {
    encode_floats(x, n, data, [](__m256 v) {
      return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    });
  } else {
    encode_floats(x, n, data, [](__m256 v) { return bf16_of_floats(v); });
  }
}

}  // namespace hachi::ops::cpu::avx2
