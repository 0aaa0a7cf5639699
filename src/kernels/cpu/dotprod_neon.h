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

// Eight rows in two registers, so that a broadcast of x serves two products; products of signed
// bytes, four at a time.
struct DotProduct {
  struct Int {
    int32x4_t low, high;
  };
  struct Float {
    float32x4_t low, high;
  };
  static constexpr int kRows = 8;
  static constexpr int kMaxTokens = kMostPanelTokens < 4 ? kMostPanelTokens : 4;
  static constexpr bool kSigned = true;

  static Int zero() { return both(vdupq_n_s32(0)); }
  static Float zero_float() { return both(vdupq_n_f32(0)); }
  static Int load(const std::byte* p) { return {load_words(p), load_words(p + 16)}; }
  static Int load_u16(const std::byte* p) {
    const uint16x8_t v = vreinterpretq_u16_u8(load_bytes(p));
    return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(v))),
            vreinterpretq_s32_u32(vmovl_high_u16(v))};
  }
  static Float load_halves(const std::byte* p) {
    const float16x8_t v = vreinterpretq_f16_u8(load_bytes(p));
    return {vcvt_f32_f16(vget_low_f16(v)), vcvt_high_f32_f16(v)};
  }
  static Float load_floats(const std::byte* p) { return as_float(load(p)); }
  static Float as_float(Int v) {
    return {vreinterpretq_f32_s32(v.low), vreinterpretq_f32_s32(v.high)};
  }
  static void store(float* p, Float v) {
    vst1q_f32(p, v.low);
    vst1q_f32(p + 4, v.high);
  }
  static Int broadcast(const std::byte* p) { return both(broadcast_word(p)); }
  static Float broadcast_float(const std::byte* p) {
    return both(vreinterpretq_f32_s32(broadcast_word(p)));
  }

  template <int kBits>
  static Int shift_right(Int v) {
    if constexpr (kBits == 0) {
      return v;
    } else {
      return each(v, [](int32x4_t a) {
        return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), kBits));
      });
    }
  }
  template <int kBits>
  static Int shift_right_signed(Int v) {
    return each(v, [](int32x4_t a) { return vshrq_n_s32(a, kBits); });
  }
  template <int kBits>
  static Int shift_left(Int v) {
    return each(v, [](int32x4_t a) { return vshlq_n_s32(a, kBits); });
  }
  static Int and_bytes(Int v, int mask) {
    return and_(v, vreinterpretq_s32_s8(vdupq_n_s8(static_cast<int8_t>(mask))));
  }
  static Int and_words(Int v, int mask) { return and_(v, vdupq_n_s32(mask)); }
  // (v & mask) | other
  static Int and_or(Int v, int mask, Int other) { return or_(and_bytes(v, mask), other); }
  static Int or_(Int a, Int b) { return {vorrq_s32(a.low, b.low), vorrq_s32(a.high, b.high)}; }
  static Int add(Int a, Int b) { return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
  static Int subtract(Int a, int b) { return add(a, both(vdupq_n_s32(-b))); }
  static Int multiply(Int a, Int b) { return {vmulq_s32(a.low, b.low), vmulq_s32(a.high, b.high)}; }
  static Int multiply(Int a, int b) { return multiply(a, both(vdupq_n_s32(b))); }
  // Signed bytes as this set's products take them.
  static Int from_signed(Int v) { return v; }
  static Int look_up(const uint8_t* table, Int index) {
    const uint8x16_t levels = vld1q_u8(table);
    return each(index, [&](int32x4_t i) {
      return vreinterpretq_s32_u8(vqtbl1q_u8(levels, vreinterpretq_u8_s32(i)));
    });
  }

  static Float to_float(Int v) { return {vcvtq_f32_s32(v.low), vcvtq_f32_s32(v.high)}; }
  static Float add(Float a, Float b) {
    return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)};
  }
  static Float multiply(Float a, Float b) {
    return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)};
  }
  static Float multiply_add(Float a, Float b, Float sum) {
    return {vfmaq_f32(sum.low, a.low, b.low), vfmaq_f32(sum.high, a.high, b.high)};
  }
  static Float subtract_product(Float a, Float b, Float sum) {
    return {vfmsq_f32(sum.low, a.low, b.low), vfmsq_f32(sum.high, a.high, b.high)};
  }

  // sum += products of pairs of 16-bit integers
  static Int add_pairs(Int sum, Int a, Int b) {
    return add(sum, {pair_products(a.low, b.low), pair_products(a.high, b.high)});
  }

  // sums[n] += products of kWords words of weights with those of x, which lie kStride words apart.
  template <int kMax, int kWords, int kStride, int N>
  [[gnu::always_inline]] static void dot(Int* sums, const Int (*words)[kWords],
                                         const std::byte* x) {
    unroll<kWords>([&](auto i) __attribute__((always_inline)) {
      const int8x16_t four = vreinterpretq_s8_s32(broadcast_word(x + i * kStride * 4));
      unroll<N>([&](auto n) __attribute__((always_inline)) {
        const Int& w = words[n][i];
        sums[n].low = vdotq_s32(sums[n].low, vreinterpretq_s8_s32(w.low), four);
        sums[n].high = vdotq_s32(sums[n].high, vreinterpretq_s8_s32(w.high), four);
      });
    });
  }

 private:
  static Int both(int32x4_t v) { return {v, v}; }
  static Float both(float32x4_t v) { return {v, v}; }
  template <class Body>
  static Int each(Int v, const Body& body) {
    return {body(v.low), body(v.high)};
  }
  static Int and_(Int v, int32x4_t mask) {
    return {vandq_s32(v.low, mask), vandq_s32(v.high, mask)};
  }

  // As bytes, which may lie at any address.
  static uint8x16_t load_bytes(const std::byte* p) {
    return vld1q_u8(reinterpret_cast<const uint8_t*>(p));
  }
  static int32x4_t load_words(const std::byte* p) { return vreinterpretq_s32_u8(load_bytes(p)); }
  static int32x4_t broadcast_word(const std::byte* p) {
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    return vdupq_n_s32(word);
  }

  static int32x4_t pair_products(int32x4_t a, int32x4_t b) {
    const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
  }
};

}  // namespace
}  // namespace hachi::ops::cpu::neon
