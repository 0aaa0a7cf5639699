// The vectors that panel_dot.h and panel_types.h are written for, in AVX2. Only files compiled for
// it include this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/inner_loops.h"
#include "kernels/cpu/simd_avx2.h"
#include "kernels/cpu/unroll.h"

namespace hachi::ops::cpu::avx2 {
namespace {

// Eight rows in a vector; pairs of products in 16 bits, several of which are summed there as long
// as they fit.
struct Pairs {
  using Int = __m256i;
  using Float = __m256;
  static constexpr int kRows = 8;
  static constexpr int kTogether = 1;
  static constexpr int kMaxTokens = kMostPanelTokens < 4 ? kMostPanelTokens : 4;
  static constexpr bool kSigned = true;

  static Int zero() { return _mm256_setzero_si256(); }
  static Float zero_float() { return _mm256_setzero_ps(); }
  static Int load(const std::byte* p) { return load32(p); }
  static Int load_u16(const std::byte* p) { return _mm256_cvtepu16_epi32(load16(p)); }
  static Float load_halves(const std::byte* p) { return _mm256_cvtph_ps(load16(p)); }
  static Float load_floats(const std::byte* p) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  }
  static Float as_float(Int v) { return _mm256_castsi256_ps(v); }
  static void store(float* p, Float v) { _mm256_storeu_ps(p, v); }
  static Int broadcast(const std::byte* p) {
    int word;
    std::memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
  }
  static Float broadcast_float(const std::byte* p) {
    float word;
    std::memcpy(&word, p, sizeof word);
    return _mm256_set1_ps(word);
  }

  template <int kBits>
  static Int shift_right(Int v) {
    return kBits == 0 ? v : _mm256_srli_epi32(v, kBits);
  }
  template <int kBits>
  static Int shift_right_signed(Int v) {
    return _mm256_srai_epi32(v, kBits);
  }
  template <int kBits>
  static Int shift_left(Int v) {
    return kBits == 0 ? v : _mm256_slli_epi32(v, kBits);
  }
  static Int and_bytes(Int v, int mask) {
    return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(mask)));
  }
  static Int and_words(Int v, int mask) { return _mm256_and_si256(v, _mm256_set1_epi32(mask)); }
  // (v & mask) | other
  static Int and_or(Int v, int mask, Int other) { return or_(and_bytes(v, mask), other); }
  static Int or_(Int a, Int b) { return _mm256_or_si256(a, b); }
  static Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int subtract(Int a, int b) { return _mm256_sub_epi32(a, _mm256_set1_epi32(b)); }
  static Int multiply(Int a, Int b) { return _mm256_mullo_epi32(a, b); }
  static Int multiply(Int a, int b) { return _mm256_mullo_epi32(a, _mm256_set1_epi32(b)); }
  // Signed bytes as this set's products take them.
  static Int from_signed(Int v) { return v; }
  static Int look_up(const uint8_t* table, Int index) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16(table)), index);
  }

  static Float to_float(Int v) { return _mm256_cvtepi32_ps(v); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float sum) { return _mm256_fmadd_ps(a, b, sum); }
  static Float subtract_product(Float a, Float b, Float sum) { return _mm256_fnmadd_ps(a, b, sum); }

  // sum += products of pairs of 16-bit integers
  static Int add_pairs(Int sum, Int a, Int b) { return add(sum, _mm256_madd_epi16(a, b)); }

  // sums[n] += products of kWords words of weights, 0..kMax or, for 255, signed, with those of x,
  // which lie kStride words apart.
  template <int kMax, int kWords, int kStride, int N>
  [[gnu::always_inline]] static void dot(Int* sums, const Int (*words)[kWords],
                                         const std::byte* x) {
    unroll<N>([&](auto n) __attribute__((always_inline)) {
      sums[n] = dot_one<kMax, kWords, kStride>(sums[n], words[n], x);
    });
  }

 private:
  template <int kMax, int kWords, int kStride>
  [[gnu::always_inline]] static Int dot_one(Int start, const Int* words, const std::byte* x) {
    // Each product of pairs is at most 2 * 127 * kMax in magnitude, or 2 * 127 * 128.
    constexpr int kInSum = kMax == 255 ? 1 : 32767 / (254 * kMax);
    Int sum = zero();
    unroll<kWords>([&](auto i) __attribute__((always_inline)) {
      Int a = words[i];
      Int b = broadcast(x + i * kStride * 4);
      if constexpr (kMax == 255) {
        b = _mm256_sign_epi8(b, a);
        a = _mm256_abs_epi8(a);
      }
      const Int pairs = _mm256_maddubs_epi16(a, b);
      sum = i % kInSum == 0 ? pairs : _mm256_add_epi16(sum, pairs);
      if constexpr (i % kInSum == kInSum - 1 || i == kWords - 1) {
        start = add_pairs(start, sum, _mm256_set1_epi16(1));
      }
    });
    return start;
  }
};

}  // namespace
}  // namespace hachi::ops::cpu::avx2
