// What the fields of each block mean, one block at a time, in plain code: element i is
// scales[i / 16] * q[i] + mins[i / 16], and where a type has no mins it is scales[i / 16] * q[i].
// Each scale and min is rounded to f32 in the order written here, then the product, then the sum;
// the vector code does the same and gives the same bits.
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/iq_grids.h"

namespace hachi::ops {

// The fours of Q4_0, Q4_1 and IQ4_NL, first all low, then all high ones, through `value_of`.
template <class Value>
void unpack_fours(const uint8_t* packed, const Value& value_of, int8_t* q) {
  for (int j = 0; j < 16; ++j) {
    q[j] = static_cast<int8_t>(value_of(packed[j] & 15));
    q[j + 16] = static_cast<int8_t>(value_of(packed[j] >> 4));
  }
}

inline void unpack_block(const BlockQ4_0& b, int8_t* q, float* scales, float*) {
  unpack_fours(
      b.q, [](int value) { return value - 8; }, q);
  std::fill(scales, scales + 2, f16_to_f32(b.d));
}

inline void unpack_block(const BlockQ4_1& b, int8_t* q, float* scales, float* mins) {
  unpack_fours(
      b.q, [](int value) { return value; }, q);
  std::fill(scales, scales + 2, f16_to_f32(b.d));
  std::fill(mins, mins + 2, f16_to_f32(b.m));
}

// The five-bit value of element j of a Q5_0 or Q5_1 block.
template <class Block>
int five_bits(const Block& b, int j) {
  const int low = j < 16 ? b.q[j] & 15 : b.q[j - 16] >> 4;
  return low | ((b.high[j / 8] >> (j % 8)) & 1) << 4;
}

inline void unpack_block(const BlockQ5_0& b, int8_t* q, float* scales, float*) {
  for (int j = 0; j < 32; ++j) q[j] = static_cast<int8_t>(five_bits(b, j) - 16);
  std::fill(scales, scales + 2, f16_to_f32(b.d));
}

inline void unpack_block(const BlockQ5_1& b, int8_t* q, float* scales, float* mins) {
  for (int j = 0; j < 32; ++j) q[j] = static_cast<int8_t>(five_bits(b, j));
  std::fill(scales, scales + 2, f16_to_f32(b.d));
  std::fill(mins, mins + 2, f16_to_f32(b.m));
}

inline void unpack_block(const BlockQ8_0& b, int8_t* q, float* scales, float*) {
  std::copy(b.q, b.q + 32, q);
  std::fill(scales, scales + 2, f16_to_f32(b.d));
}

inline void unpack_block(const BlockIQ4_NL& b, int8_t* q, float* scales, float*) {
  unpack_fours(
      b.q, [](int value) { return kIQ4Values[value]; }, q);
  std::fill(scales, scales + 2, f16_to_f32(b.d));
}

inline void unpack_block(const BlockQ2_K& b, int8_t* q, float* scales, float* mins) {
  for (int i = 0; i < 256; ++i) {
    q[i] = static_cast<int8_t>((b.q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3);
  }
  for (int s = 0; s < 16; ++s) {
    scales[s] = f16_to_f32(b.d) * static_cast<float>(b.scales[s] & 15);
    mins[s] = -f16_to_f32(b.dmin) * static_cast<float>(b.scales[s] >> 4);
  }
}

// The six-bit scale of sub-block s, from 0 to 63.
inline int scale_q3_k(const uint8_t* scales, int s) {
  const int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
  return low | ((scales[8 + s % 4] >> (s / 4 * 2)) & 3) << 4;
}

inline void unpack_block(const BlockQ3_K& b, int8_t* q, float* scales, float*) {
  for (int i = 0; i < 256; ++i) {
    const int group = i / 32;  // which bit of `high`
    const int low = (b.q[i / 128 * 32 + i % 32] >> (group % 4 * 2)) & 3;
    q[i] = static_cast<int8_t>((low | ((b.high[i % 32] >> group) & 1) << 2) - 4);
  }
  for (int s = 0; s < 16; ++s) {
    scales[s] = f16_to_f32(b.d) * static_cast<float>(scale_q3_k(b.scales, s) - 32);
  }
}

// The six-bit scale and min of sub-block s of Q4_K and Q5_K. Bytes 0..3 hold scales 0..3, bytes
// 4..7 mins 0..3, bytes 8..11 the low fours of scales and mins 4..7, whose high twos are on top of
// bytes 0..7.
inline void scale_min_k4(const uint8_t* packed, int s, int* scale, int* min) {
  if (s < 4) {
    *scale = packed[s] & 63;
    *min = packed[s + 4] & 63;
  } else {
    *scale = (packed[s + 4] & 15) | (packed[s - 4] >> 6) << 4;
    *min = (packed[s + 4] >> 4) | (packed[s] >> 6) << 4;
  }
}

template <class Block>
void unpack_scales_k4(const Block& b, float* scales, float* mins) {
  for (int s = 0; s < 8; ++s) {
    int scale = 0;
    int min = 0;
    scale_min_k4(b.scales, s, &scale, &min);
    std::fill_n(scales + 2 * s, 2, f16_to_f32(b.d) * static_cast<float>(scale));
    std::fill_n(mins + 2 * s, 2, -f16_to_f32(b.dmin) * static_cast<float>(min));
  }
}

inline void unpack_block(const BlockQ4_K& b, int8_t* q, float* scales, float* mins) {
  unpack_scales_k4(b, scales, mins);
  for (int i = 0; i < 256; ++i) {
    q[i] = static_cast<int8_t>((b.q[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4)) & 15);
  }
}

inline void unpack_block(const BlockQ5_K& b, int8_t* q, float* scales, float* mins) {
  unpack_scales_k4(b, scales, mins);
  for (int i = 0; i < 256; ++i) {
    const int low = (b.q[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4)) & 15;
    q[i] = static_cast<int8_t>(low | ((b.high[i % 32] >> (i / 32)) & 1) << 4);
  }
}

inline void unpack_block(const BlockQ6_K& b, int8_t* q, float* scales, float*) {
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int j = i % 128 / 32;
    const int l = i % 32;
    const int low = (b.q[half * 64 + j % 2 * 32 + l] >> (j / 2 * 4)) & 15;
    const int high = (b.high[half * 32 + l] >> (j * 2)) & 3;
    q[i] = static_cast<int8_t>((low | high << 4) - 32);
  }
  for (int s = 0; s < 16; ++s) scales[s] = f16_to_f32(b.d) * static_cast<float>(b.scales[s]);
}

inline void unpack_block(const BlockIQ4_XS& b, int8_t* q, float* scales, float*) {
  for (int s = 0; s < 8; ++s) {
    const int low = (b.scales_low[s / 2] >> (s % 2 * 4)) & 15;
    const int scale = low | ((b.scales_high >> (s * 2)) & 3) << 4;
    std::fill_n(scales + 2 * s, 2, f16_to_f32(b.d) * static_cast<float>(scale - 32));
    unpack_fours(
        b.q + 16 * s, [](int value) { return kIQ4Values[value]; }, q + 32 * s);
  }
}

// `count` magnitudes with the signs in the low bits of `signs`.
inline void unpack_signed(const int8_t* magnitudes, unsigned signs, int count, int8_t* q) {
  for (int j = 0; j < count; ++j) {
    q[j] = static_cast<int8_t>((signs >> j) & 1u ? -magnitudes[j] : magnitudes[j]);
  }
}

// Seven signs and the eighth that makes the number of negatives even.
inline unsigned even_signs(unsigned seven) {
  return seven | (static_cast<unsigned>(std::popcount(seven)) & 1u) << 7;
}

inline uint32_t load_little_endian(const uint8_t* bytes) {
  return bytes[0] | static_cast<uint32_t>(bytes[1]) << 8 | static_cast<uint32_t>(bytes[2]) << 16 |
         static_cast<uint32_t>(bytes[3]) << 24;
}

inline void unpack_block(const BlockIQ3_S& b, int8_t* q, float* scales, float*) {
  for (int k = 0; k < 64; ++k) {
    const int index = b.q[k] | ((b.high[k / 8] >> (k % 8)) & 1) << 8;
    const unsigned signs = static_cast<unsigned>(b.signs[k / 2]) >> (k % 2 * 4);
    unpack_signed(kGridIQ3_S[static_cast<size_t>(index)].data(), signs, 4, q + 4 * k);
  }
  for (int s = 0; s < 8; ++s) {
    const int scale = (b.scales[s / 2] >> (s % 2 * 4)) & 15;
    std::fill_n(scales + 2 * s, 2, f16_to_f32(b.d) * static_cast<float>(2 * scale + 1));
  }
}

inline void unpack_block(const BlockIQ3_XXS& b, int8_t* q, float* scales, float*) {
  for (int s = 0; s < 8; ++s) {
    const uint32_t word = load_little_endian(b.words[s]);
    for (int k = 0; k < 8; ++k) {
      const unsigned signs = even_signs((word >> (k / 2 * 7)) & 127u) >> (k % 2 * 4);
      unpack_signed(kGridIQ3_XXS[b.q[8 * s + k]].data(), signs, 4, q + 32 * s + 4 * k);
    }
    const float scale = static_cast<float>(word >> 28) + 0.5f;
    std::fill_n(scales + 2 * s, 2, f16_to_f32(b.d) * scale * 0.5f);
  }
}

// The scale of one of IQ2's four-bit fields.
inline float scale_iq2(uint16_t d, unsigned four) {
  return f16_to_f32(d) * (static_cast<float>(four) + 0.5f) * 0.25f;
}

inline void unpack_block(const BlockIQ2_S& b, int8_t* q, float* scales, float*) {
  for (int k = 0; k < 32; ++k) {
    const int index = b.q[k] | ((b.high[k / 4] >> (k % 4 * 2)) & 3) << 8;
    unpack_signed(kGridIQ2_S[static_cast<size_t>(index)].data(), b.signs[k], 8, q + 8 * k);
  }
  for (int s = 0; s < 16; ++s) scales[s] = scale_iq2(b.d, (b.scales[s / 2] >> (s % 2 * 4)) & 15u);
}

inline void unpack_block(const BlockIQ2_XS& b, int8_t* q, float* scales, float*) {
  for (int k = 0; k < 32; ++k) {
    const unsigned signs = even_signs(static_cast<unsigned>(b.q[k]) >> 9);
    unpack_signed(kGridIQ2_XS[b.q[k] & 511u].data(), signs, 8, q + 8 * k);
  }
  for (int s = 0; s < 16; ++s) scales[s] = scale_iq2(b.d, (b.scales[s / 2] >> (s % 2 * 4)) & 15u);
}

inline void unpack_block(const BlockIQ2_XXS& b, int8_t* q, float* scales, float*) {
  for (int s = 0; s < 8; ++s) {
    const uint32_t word = load_little_endian(b.sub_blocks[s].word);
    for (int k = 0; k < 4; ++k) {
      const unsigned signs = even_signs((word >> (7 * k)) & 127u);
      unpack_signed(kGridIQ2_XXS[b.sub_blocks[s].q[k]].data(), signs, 8, q + 32 * s + 8 * k);
    }
    std::fill_n(scales + 2 * s, 2, scale_iq2(b.d, word >> 28));
  }
}

}  // namespace hachi::ops
