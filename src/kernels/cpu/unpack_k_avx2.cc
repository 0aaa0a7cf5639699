// The types of 256 elements. Their sub-blocks' scales are unpacked first, all at once; then 32
// bytes at a time give 32 elements, which are two sub-blocks of 16 or one of 32.
#include <cstddef>

#include "kernels/blocks.h"
#include "kernels/cpu/unpack_avx2.h"

namespace hachi::ops::cpu::avx2 {
namespace {

uint32_t load_word(const std::byte* p) {
  uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

int signed_bits(uint32_t word) {
  int value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

// `value` in each byte of `bits` that has the bit, else 0.
__m256i if_bit(__m256i bits, int bit, int value) {
  const __m256i mask = _mm256_set1_epi8(static_cast<char>(1u << bit));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, mask), mask);
  return _mm256_and_si256(set, _mm256_set1_epi8(static_cast<char>(value)));
}

// Bits 2j and 2j + 1 of each byte.
__m256i two_bits(__m256i bytes, int j) {
  const __m256i shifted = _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(2 * j));
  return _mm256_and_si256(shifted, _mm256_set1_epi8(3));
}

// Eight values, each for both halves of 32 elements.
void store_pairs(float* y, __m256 values) {
  const __m256i first = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  const __m256i last = _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7);
  _mm256_storeu_ps(y, _mm256_permutevar8x32_ps(values, first));
  _mm256_storeu_ps(y + 8, _mm256_permutevar8x32_ps(values, last));
}

// Scales and mins of Q4_K and Q5_K, eight of each, times d and -dmin.
void unpack_scales_k4(const std::byte* packed, float d, float dmin, float* scales, float* mins) {
  const uint32_t a = load_word(packed);
  const uint32_t b = load_word(packed + 4);
  const uint32_t c = load_word(packed + 8);
  const uint32_t six = 0x3f3f3f3f;
  const uint32_t four = 0x0f0f0f0f;
  const uint32_t two = 0x30303030;
  const __m128i bytes =
      _mm_setr_epi32(signed_bits(a & six), signed_bits((c & four) | ((a >> 2) & two)),
                     signed_bits(b & six), signed_bits(((c >> 4) & four) | ((b >> 2) & two)));
  store_pairs(scales, _mm256_mul_ps(_mm256_set1_ps(d), floats_of_low(bytes)));
  store_pairs(mins, _mm256_mul_ps(_mm256_set1_ps(-dmin), floats_of_high(bytes)));
}

}  // namespace

void unpack_q2_k(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockQ2_K)) {
    const __m128i packed = load16(data + offsetof(BlockQ2_K, scales));
    store_scaled(row.scales + i / kGroup, low_nibbles(packed),
                 load_f16(data + offsetof(BlockQ2_K, d)));
    store_scaled(row.mins + i / kGroup, high_nibbles(packed),
                 -load_f16(data + offsetof(BlockQ2_K, dmin)));
    for (int h = 0; h < 2; ++h) {
      const __m256i bytes = load32(data + offsetof(BlockQ2_K, q) + 32 * h);
      for (int j = 0; j < 4; ++j) store32(row.q + i + 128 * h + 32 * j, two_bits(bytes, j));
    }
  }
}

void unpack_q3_k(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockQ3_K)) {
    const std::byte* packed = data + offsetof(BlockQ3_K, scales);
    const uint32_t a = load_word(packed);
    const uint32_t b = load_word(packed + 4);
    const uint32_t c = load_word(packed + 8);
    const uint32_t four = 0x0f0f0f0f;
    const uint32_t two = 0x30303030;
    const __m128i bytes = _mm_setr_epi32(signed_bits((a & four) | ((c << 4) & two)),
                                         signed_bits((b & four) | ((c << 2) & two)),
                                         signed_bits(((a >> 4) & four) | (c & two)),
                                         signed_bits(((b >> 4) & four) | ((c >> 2) & two)));
    store_scaled(row.scales + i / kGroup, _mm_sub_epi8(bytes, _mm_set1_epi8(32)),
                 load_f16(data + offsetof(BlockQ3_K, d)));
    const __m256i high = load32(data + offsetof(BlockQ3_K, high));
    for (int h = 0; h < 2; ++h) {
      const __m256i low = load32(data + offsetof(BlockQ3_K, q) + 32 * h);
      for (int j = 0; j < 4; ++j) {
        const __m256i q = _mm256_or_si256(two_bits(low, j), if_bit(high, 4 * h + j, 4));
        store32(row.q + i + 128 * h + 32 * j, _mm256_sub_epi8(q, _mm256_set1_epi8(4)));
      }
    }
  }
}

void unpack_q4_k(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockQ4_K)) {
    unpack_scales_k4(data + offsetof(BlockQ4_K, scales), load_f16(data + offsetof(BlockQ4_K, d)),
                     load_f16(data + offsetof(BlockQ4_K, dmin)), row.scales + i / kGroup,
                     row.mins + i / kGroup);
    for (int pair = 0; pair < 4; ++pair) {
      const __m256i packed = load32(data + offsetof(BlockQ4_K, q) + 32 * pair);
      store32(row.q + i + 64 * pair, low_nibbles(packed));
      store32(row.q + i + 64 * pair + 32, high_nibbles(packed));
    }
  }
}

void unpack_q5_k(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockQ5_K)) {
    unpack_scales_k4(data + offsetof(BlockQ5_K, scales), load_f16(data + offsetof(BlockQ5_K, d)),
                     load_f16(data + offsetof(BlockQ5_K, dmin)), row.scales + i / kGroup,
                     row.mins + i / kGroup);
    const __m256i high = load32(data + offsetof(BlockQ5_K, high));
    for (int pair = 0; pair < 4; ++pair) {
      const __m256i packed = load32(data + offsetof(BlockQ5_K, q) + 32 * pair);
      for (int s = 2 * pair; s < 2 * pair + 2; ++s) {
        const __m256i low = s % 2 == 0 ? low_nibbles(packed) : high_nibbles(packed);
        store32(row.q + i + 32 * s, _mm256_or_si256(low, if_bit(high, s, 16)));
      }
    }
  }
}

void unpack_q6_k(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockQ6_K)) {
    store_scaled(row.scales + i / kGroup, load16(data + offsetof(BlockQ6_K, scales)),
                 load_f16(data + offsetof(BlockQ6_K, d)));
    for (int h = 0; h < 2; ++h) {
      const std::byte* packed = data + offsetof(BlockQ6_K, q) + 64 * h;
      const __m256i bytes[2] = {load32(packed), load32(packed + 32)};
      const __m256i high = load32(data + offsetof(BlockQ6_K, high) + 32 * h);
      for (int j = 0; j < 4; ++j) {
        const __m256i low = j < 2 ? low_nibbles(bytes[j]) : high_nibbles(bytes[j - 2]);
        const __m256i top = _mm256_slli_epi16(two_bits(high, j), 4);
        const __m256i q = _mm256_sub_epi8(_mm256_or_si256(low, top), _mm256_set1_epi8(32));
        store32(row.q + i + 128 * h + 32 * j, q);
      }
    }
  }
}

void unpack_iq4_xs(const std::byte* data, int64_t n, const UnpackedRow& row) {
  const __m256i levels = _mm256_broadcastsi128_si256(load16(kIQ4Values));
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockIQ4_XS)) {
    const float d = load_f16(data + offsetof(BlockIQ4_XS, d));
    const uint32_t low = load_word(data + offsetof(BlockIQ4_XS, scales_low));
    uint16_t high;
    std::memcpy(&high, data + offsetof(BlockIQ4_XS, scales_high), sizeof high);
    for (int s = 0; s < 8; ++s) {
      const uint32_t scale = ((low >> (4 * s)) & 15u) | ((high >> (2 * s)) & 3u) << 4;
      store_pair(row.scales + i / kGroup + 2 * s,
                 d * static_cast<float>(static_cast<int>(scale) - 32));
      const __m256i q = all_nibbles(load16(data + offsetof(BlockIQ4_XS, q) + 16 * s));
      store32(row.q + i + 32 * s, _mm256_shuffle_epi8(levels, q));
    }
  }
}

}  // namespace hachi::ops::cpu::avx2
