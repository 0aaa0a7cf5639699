// The vectors that panel_dot.h and panel_types.h are written for, in NEON with its dot product of
// bytes. Only files compiled for it include this.
#pragma once

#include <arm_neon.h>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/inner_loops.h"
#include "kernels/cpu/unroll.h"

namespace hachi::ops::cpu::neon {
namespace {

// Four rows in a vector, two vectors together; products of signed bytes, four at a time.
struct DotProduct {
  using Int = int32x4_t;
  using Float = float32x4_t;
  static constexpr int kRows = 4;
  static constexpr int kTogether = 2;
  static constexpr int kMaxTokens = kMostPanelTokens < 4 ? kMostPanelTokens : 4;
  static constexpr bool kSigned = true;

  static Int zero() { return vdupq_n_s32(0); }
  static Float zero_float() { return vdupq_n_f32(0); }
  static Int load(const std::byte* p) { return vreinterpretq_s32_u8(vld1q_u8(bytes(p))); }
  static Int load_u16(const std::byte* p) {
    return vreinterpretq_s32_u32(vmovl_u16(vreinterpret_u16_u8(vld1_u8(bytes(p)))));
  }
  static Float load_halves(const std::byte* p) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(bytes(p))));
  }
  static Float load_floats(const std::byte* p) { return as_float(load(p)); }
  static Float as_float(Int v) { return vreinterpretq_f32_s32(v); }
  static void store(float* p, Float v) { vst1q_f32(p, v); }
  static Int broadcast(const std::byte* p) {
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    return vdupq_n_s32(word);
  }
  static Float broadcast_float(const std::byte* p) { return as_float(broadcast(p)); }

  template <int kBits>
  static Int shift_right(Int v) {
    if constexpr (kBits == 0) {
      return v;
    } else {
      return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(v), kBits));
    }
  }
  template <int kBits>
  static Int shift_right_signed(Int v) {
    return vshrq_n_s32(v, kBits);
  }
  template <int kBits>
  static Int shift_left(Int v) {
    return vshlq_n_s32(v, kBits);
  }
  static Int and_bytes(Int v, int mask) {
    return vandq_s32(v, vreinterpretq_s32_s8(vdupq_n_s8(static_cast<int8_t>(mask))));
  }
  static Int and_words(Int v, int mask) { return vandq_s32(v, vdupq_n_s32(mask)); }
  // (v & mask) | other
  static Int and_or(Int v, int mask, Int other) { return or_(and_bytes(v, mask), other); }
  static Int or_(Int a, Int b) { return vorrq_s32(a, b); }
  static Int add(Int a, Int b) { return vaddq_s32(a, b); }
  static Int subtract(Int a, int b) { return vsubq_s32(a, vdupq_n_s32(b)); }
  static Int multiply(Int a, Int b) { return vmulq_s32(a, b); }
  static Int multiply(Int a, int b) { return vmulq_s32(a, vdupq_n_s32(b)); }
  // Signed bytes as this set's products take them.
  static Int from_signed(Int v) { return v; }
  static Int look_up(const uint8_t* table, Int index) {
    return vreinterpretq_s32_u8(vqtbl1q_u8(vld1q_u8(table), vreinterpretq_u8_s32(index)));
  }

  static Float to_float(Int v) { return vcvtq_f32_s32(v); }
  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float multiply(Float a, Float b) { return vmulq_f32(a, b); }
  static Float multiply_add(Float a, Float b, Float sum) { return vfmaq_f32(sum, a, b); }
  static Float subtract_product(Float a, Float b, Float sum) { return vfmsq_f32(sum, a, b); }

  // sum += products of pairs of 16-bit integers
  static Int add_pairs(Int sum, Int a, Int b) {
    const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    const Int low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
    return add(sum, vpaddq_s32(low, vmull_high_s16(x, y)));
  }

  // sums[n] += products of kWords words of weights with those of x, which lie kStride words apart.
  template <int kMax, int kWords, int kStride, int N>
  [[gnu::always_inline]] static void dot(Int* sums, const Int (*words)[kWords],
                                         const std::byte* x) {
    if constexpr (kStride == 1) {
      // Four words of x in a load, each a lane.
      unroll<kWords / 4>([&](auto i) __attribute__((always_inline)) {
        const int8x16_t four_words = vreinterpretq_s8_s32(load(x + i * 16));
        unroll<4>([&](auto lane) __attribute__((always_inline)) {
          unroll<N>([&](auto n) __attribute__((always_inline)) {
            const auto w = vreinterpretq_s8_s32(words[n][i * 4 + lane]);
            sums[n] = vdotq_laneq_s32(sums[n], w, four_words, lane);
          });
        });
      });
    } else {
      unroll<kWords>([&](auto i) __attribute__((always_inline)) {
        const int8x16_t four = vreinterpretq_s8_s32(broadcast(x + i * kStride * 4));
        unroll<N>([&](auto n) __attribute__((always_inline)) {
          sums[n] = vdotq_s32(sums[n], vreinterpretq_s8_s32(words[n][i]), four);
        });
      });
    }
  }

 private:
  // May lie at any address.
  static const uint8_t* bytes(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
};

}  // namespace
}  // namespace hachi::ops::cpu::neon
