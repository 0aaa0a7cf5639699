// One element of a block of GGUF at a time, as threads of a GPU unpack them: element i of block b
// is scale * q + min. unpack_block.h says the same a block at a time, and is what the tests compare
// with; blocks.h has the fields. Blocks lie at even addresses.
#pragma once

#include <cuda_fp16.h>

#include "kernels/blocks.h"
#include "kernels/iq_grids.h"

namespace hachi::ops::cuda {

struct Element {
  int q;
  float scale;
  float min = 0;
};

__device__ inline float f16_value(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }

// Four bits of element i of 32.
__device__ inline int four_bits(const uint8_t* q, int i) { return q[i % 16] >> (i / 16 * 4) & 15; }

// kIQ4Values, four to a word.
__device__ inline int iq4_value(int four) {
  constexpr auto word = [](int i) {
    uint32_t bytes = 0;
    for (int j = 3; j >= 0; --j) bytes = bytes << 8 | static_cast<uint8_t>(kIQ4Values[4 * i + j]);
    return bytes;
  };
  constexpr uint32_t k0 = word(0), k1 = word(1), k2 = word(2), k3 = word(3);
  const uint32_t bytes = four < 8 ? (four < 4 ? k0 : k1) : (four < 12 ? k2 : k3);
  return static_cast<int8_t>(bytes >> (four % 4 * 8));
}

__device__ inline Element element(const BlockQ4_0& b, int i) {
  return {four_bits(b.q, i) - 8, f16_value(b.d)};
}

__device__ inline Element element(const BlockQ4_1& b, int i) {
  return {four_bits(b.q, i), f16_value(b.d), f16_value(b.m)};
}

__device__ inline Element element(const BlockQ5_0& b, int i) {
  const int high = b.high[i / 8] >> (i % 8) & 1;
  return {(four_bits(b.q, i) | high << 4) - 16, f16_value(b.d)};
}

__device__ inline Element element(const BlockQ5_1& b, int i) {
  const int high = b.high[i / 8] >> (i % 8) & 1;
  return {four_bits(b.q, i) | high << 4, f16_value(b.d), f16_value(b.m)};
}

__device__ inline Element element(const BlockQ8_0& b, int i) { return {b.q[i], f16_value(b.d)}; }

__device__ inline Element element(const BlockIQ4_NL& b, int i) {
  return {iq4_value(four_bits(b.q, i)), f16_value(b.d)};
}

// Two bits of element i of 256, as Q2_K and Q3_K hold them.
__device__ inline int two_bits(const uint8_t* q, int i) {
  return q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

__device__ inline Element element(const BlockQ2_K& b, int i) {
  const int scales = b.scales[i / 16];
  return {two_bits(b.q, i), f16_value(b.d) * static_cast<float>(scales & 15),
          -f16_value(b.dmin) * static_cast<float>(scales >> 4)};
}

__device__ inline Element element(const BlockQ3_K& b, int i) {
  const int s = i / 16;
  const int low = s < 8 ? b.scales[s] & 15 : b.scales[s - 8] >> 4;
  const int scale = low | (b.scales[8 + s % 4] >> (s / 4 * 2) & 3) << 4;
  const int high = b.high[i % 32] >> (i / 32) & 1;
  return {(two_bits(b.q, i) | high << 2) - 4, f16_value(b.d) * static_cast<float>(scale - 32)};
}

// Scale and min of Q4_K and Q5_K for element i, as scale_min_k4() unpacks them.
template <class Block>
__device__ Element k4_element(const Block& b, int i, int q) {
  const int s = i / 32;
  int scale = b.scales[s] & 63;
  int min = b.scales[s + 4] & 63;
  if (s >= 4) {
    scale = (b.scales[s + 4] & 15) | b.scales[s - 4] >> 6 << 4;
    min = b.scales[s + 4] >> 4 | b.scales[s] >> 6 << 4;
  }
  return {q, f16_value(b.d) * static_cast<float>(scale),
          -f16_value(b.dmin) * static_cast<float>(min)};
}

__device__ inline Element element(const BlockQ4_K& b, int i) {
  return k4_element(b, i, b.q[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15);
}

__device__ inline Element element(const BlockQ5_K& b, int i) {
  const int low = b.q[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
  return k4_element(b, i, low | (b.high[i % 32] >> (i / 32) & 1) << 4);
}

__device__ inline Element element(const BlockQ6_K& b, int i) {
  const int half = i / 128;
  const int j = i % 128 / 32;
  const int l = i % 32;
  const int low = b.q[half * 64 + j % 2 * 32 + l] >> (j / 2 * 4) & 15;
  const int high = b.high[half * 32 + l] >> (j * 2) & 3;
  return {(low | high << 4) - 32, f16_value(b.d) * static_cast<float>(b.scales[i / 16])};
}

__device__ inline Element element(const BlockIQ4_XS& b, int i) {
  const int s = i / 32;
  const int low = b.scales_low[s / 2] >> (s % 2 * 4) & 15;
  const int scale = low | (b.scales_high >> (s * 2) & 3) << 4;
  return {iq4_value(four_bits(b.q + 16 * s, i % 32)),
          f16_value(b.d) * static_cast<float>(scale - 32)};
}

// Plain types as blocks of 32.
template <class T>
struct Plain {
  T q[32];
};
__device__ inline Element element(const Plain<float>& b, int i) { return {1, b.q[i]}; }
__device__ inline Element element(const Plain<__half>& b, int i) {
  return {1, __half2float(b.q[i])};
}

// Elements of a block.
template <class Block>
inline constexpr int kBlockSize = 256;
template <class T>
inline constexpr int kBlockSize<Plain<T>> = 32;
template <>
inline constexpr int kBlockSize<BlockQ4_0> = 32;
template <>
inline constexpr int kBlockSize<BlockQ4_1> = 32;
template <>
inline constexpr int kBlockSize<BlockQ5_0> = 32;
template <>
inline constexpr int kBlockSize<BlockQ5_1> = 32;
template <>
inline constexpr int kBlockSize<BlockQ8_0> = 32;
template <>
inline constexpr int kBlockSize<BlockIQ4_NL> = 32;

// The grids, which copy_grids() brings.
__device__ int8_t device_grid_iq3_s[512][4];
__device__ int8_t device_grid_iq3_xxs[256][4];
__device__ int8_t device_grid_iq2_s[1024][8];
__device__ int8_t device_grid_iq2_xs[512][8];
__device__ int8_t device_grid_iq2_xxs[256][8];

// A magnitude with the sign that bit i of `signs` says.
__device__ inline int with_sign(int magnitude, unsigned signs, int i) {
  return signs >> i & 1u ? -magnitude : magnitude;
}

// Seven signs and the eighth that makes the number of negatives even.
__device__ inline unsigned with_even_sign(unsigned seven) {
  return seven | (static_cast<unsigned>(__popc(seven)) & 1u) << 7;
}

__device__ inline uint32_t word_of(const uint8_t* bytes) {
  return bytes[0] | static_cast<uint32_t>(bytes[1]) << 8 | static_cast<uint32_t>(bytes[2]) << 16 |
         static_cast<uint32_t>(bytes[3]) << 24;
}

__device__ inline Element element(const BlockIQ3_S& b, int i) {
  const int k = i / 4;
  const int index = b.q[k] | (b.high[k / 8] >> (k % 8) & 1) << 8;
  const int scale = b.scales[i / 64] >> (i / 32 % 2 * 4) & 15;
  return {with_sign(device_grid_iq3_s[index][i % 4], b.signs[i / 8], i % 8),
          f16_value(b.d) * static_cast<float>(2 * scale + 1)};
}

__device__ inline Element element(const BlockIQ3_XXS& b, int i) {
  const uint32_t word = word_of(b.words[i / 32]);
  const unsigned signs = with_even_sign(word >> (i % 32 / 8 * 7) & 127u);
  return {with_sign(device_grid_iq3_xxs[b.q[i / 4]][i % 4], signs, i % 8),
          f16_value(b.d) * (static_cast<float>(word >> 28) + 0.5f) * 0.5f};
}

__device__ inline float iq2_scale(uint16_t d, unsigned four) {
  return f16_value(d) * (static_cast<float>(four) + 0.5f) * 0.25f;
}

__device__ inline Element element(const BlockIQ2_S& b, int i) {
  const int k = i / 8;
  const int index = b.q[k] | (b.high[k / 4] >> (k % 4 * 2) & 3) << 8;
  const unsigned scale = b.scales[i / 32] >> (i / 16 % 2 * 4) & 15u;
  return {with_sign(device_grid_iq2_s[index][i % 8], b.signs[k], i % 8), iq2_scale(b.d, scale)};
}

__device__ inline Element element(const BlockIQ2_XS& b, int i) {
  const unsigned q = b.q[i / 8];
  const unsigned scale = b.scales[i / 32] >> (i / 16 % 2 * 4) & 15u;
  return {with_sign(device_grid_iq2_xs[q & 511u][i % 8], with_even_sign(q >> 9), i % 8),
          iq2_scale(b.d, scale)};
}

__device__ inline Element element(const BlockIQ2_XXS& b, int i) {
  const auto& sub_block = b.sub_blocks[i / 32];
  const int k = i % 32 / 8;
  const uint32_t word = word_of(sub_block.word);
  const unsigned signs = with_even_sign(word >> (7 * k) & 127u);
  return {with_sign(device_grid_iq2_xxs[sub_block.q[k]][i % 8], signs, i % 8),
          iq2_scale(b.d, word >> 28)};
}

}  // namespace hachi::ops::cuda
