// What the fields of each block mean, one block at a time, in plain code. Each product and each sum
// is rounded to f32 in the order written here; the vector code does the same and gives the same
// bits.
#pragma once

#include "kernels/blocks.h"
#include "kernels/half.h"

namespace hachi::ops {

inline void decode_block(const BlockQ4_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>((b.q[j] & 15) - 8);
    y[j + 16] = d * static_cast<float>((b.q[j] >> 4) - 8);
  }
}

inline void decode_block(const BlockQ4_1& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(b.q[j] & 15) + m;
    y[j + 16] = d * static_cast<float>(b.q[j] >> 4) + m;
  }
}

// The five-bit value of element j of a Q5_0 or Q5_1 block.
template <class Block>
int five_bits(const Block& b, int j) {
  const int low = j < 16 ? b.q[j] & 15 : b.q[j - 16] >> 4;
  return low | ((b.high[j / 8] >> (j % 8)) & 1) << 4;
}

inline void decode_block(const BlockQ5_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 32; ++j) y[j] = d * static_cast<float>(five_bits(b, j) - 16);
}

inline void decode_block(const BlockQ5_1& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  for (int j = 0; j < 32; ++j) y[j] = d * static_cast<float>(five_bits(b, j)) + m;
}

inline void decode_block(const BlockQ8_0& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 32; ++j) y[j] = d * static_cast<float>(b.q[j]);
}

inline void decode_block(const BlockIQ4_NL& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(kIQ4Values[b.q[j] & 15]);
    y[j + 16] = d * static_cast<float>(kIQ4Values[b.q[j] >> 4]);
  }
}

inline void decode_block(const BlockQ2_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int i = 0; i < 256; ++i) {
    const int sub = i / 16;
    const int q = (b.q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    const float scale = d * static_cast<float>(b.scales[sub] & 15);
    const float min = dmin * static_cast<float>(b.scales[sub] >> 4);
    y[i] = scale * static_cast<float>(q) - min;
  }
}

// The six-bit scale of sub-block s, from 0 to 63.
inline int scale_q3_k(const uint8_t* scales, int s) {
  const int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
  return low | ((scales[8 + s % 4] >> (s / 4 * 2)) & 3) << 4;
}

inline void decode_block(const BlockQ3_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 256; ++i) {
    const int group = i / 32;  // which bit of `high`
    const int low = (b.q[i / 128 * 32 + i % 32] >> (group % 4 * 2)) & 3;
    const int q = low | ((b.high[i % 32] >> group) & 1) << 2;
    const float scale = d * static_cast<float>(scale_q3_k(b.scales, i / 16) - 32);
    y[i] = scale * static_cast<float>(q - 4);
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

inline void decode_block(const BlockQ4_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int s = 0; s < 8; ++s) {
    int scale = 0;
    int min = 0;
    scale_min_k4(b.scales, s, &scale, &min);
    const float ds = d * static_cast<float>(scale);
    const float dm = dmin * static_cast<float>(min);
    for (int l = 0; l < 32; ++l) {
      const int q = (b.q[s / 2 * 32 + l] >> (s % 2 * 4)) & 15;
      y[s * 32 + l] = ds * static_cast<float>(q) - dm;
    }
  }
}

inline void decode_block(const BlockQ5_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int s = 0; s < 8; ++s) {
    int scale = 0;
    int min = 0;
    scale_min_k4(b.scales, s, &scale, &min);
    const float ds = d * static_cast<float>(scale);
    const float dm = dmin * static_cast<float>(min);
    for (int l = 0; l < 32; ++l) {
      const int low = (b.q[s / 2 * 32 + l] >> (s % 2 * 4)) & 15;
      const int q = low | ((b.high[l] >> s) & 1) << 4;
      y[s * 32 + l] = ds * static_cast<float>(q) - dm;
    }
  }
}

inline void decode_block(const BlockQ6_K& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int j = i % 128 / 32;
    const int l = i % 32;
    const int low = (b.q[half * 64 + j % 2 * 32 + l] >> (j / 2 * 4)) & 15;
    const int q = low | ((b.high[half * 32 + l] >> (j * 2)) & 3) << 4;
    y[i] = d * static_cast<float>(b.scales[i / 16]) * static_cast<float>(q - 32);
  }
}

inline void decode_block(const BlockIQ4_XS& b, float* y) {
  const float d = f16_to_f32(b.d);
  for (int s = 0; s < 8; ++s) {
    const int low = (b.scales_low[s / 2] >> (s % 2 * 4)) & 15;
    const int scale = low | ((b.scales_high >> (s * 2)) & 3) << 4;
    const float ds = d * static_cast<float>(scale - 32);
    for (int j = 0; j < 16; ++j) {
      y[s * 32 + j] = ds * static_cast<float>(kIQ4Values[b.q[s * 16 + j] & 15]);
      y[s * 32 + j + 16] = ds * static_cast<float>(kIQ4Values[b.q[s * 16 + j] >> 4]);
    }
  }
}

}  // namespace hachi::ops
