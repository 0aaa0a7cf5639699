// The vectors that panel_dot.h and panel_types.h are written for, in AVX-512 with VNNI. Only files
// compiled for it include this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "kernels/cpu/inner_loops.h"
#include "kernels/cpu/unroll.h"

namespace hachi::ops::cpu::avx512 {
namespace {

// Sixteen rows in a vector; products of unsigned weights and signed activations, four at a time.
struct Vnni {
  using Int = __m512i;
  using Float = __m512;
  static constexpr int kRows = 16;
  static constexpr int kTogether = 1;
  static constexpr int kMaxTokens = kMostPanelTokens;
  static constexpr bool kSigned = false;

  static Int zero() { return _mm512_setzero_si512(); }
  static Float zero_float() { return _mm512_setzero_ps(); }
  static Int load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static __m256i load_words(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Int load_u16(const std::byte* p) { return _mm512_cvtepu16_epi32(load_words(p)); }
  static Float load_halves(const std::byte* p) { return _mm512_cvtph_ps(load_words(p)); }
  static Float load_floats(const std::byte* p) { return _mm512_loadu_ps(p); }
  static Float as_float(Int v) { return _mm512_castsi512_ps(v); }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static Int broadcast(const std::byte* p) {
    int word;
    std::memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static Float broadcast_float(const std::byte* p) {
    float word;
    std::memcpy(&word, p, sizeof word);
    return _mm512_set1_ps(word);
  }

  template <int kBits>
  static Int shift_right(Int v) {
    return kBits == 0 ? v : _mm512_srli_epi32(v, kBits);
  }
  template <int kBits>
  static Int shift_right_signed(Int v) {
    return _mm512_srai_epi32(v, kBits);
  }
  template <int kBits>
  static Int shift_left(Int v) {
    return kBits == 0 ? v : _mm512_slli_epi32(v, kBits);
  }
  static Int and_bytes(Int v, int mask) {
    return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(mask)));
  }
  static Int and_words(Int v, int mask) { return _mm512_and_si512(v, _mm512_set1_epi32(mask)); }
  // (v & mask) | other
  static Int and_or(Int v, int mask, Int other) {
    return _mm512_ternarylogic_epi32(v, _mm512_set1_epi8(static_cast<char>(mask)), other, 0xea);
  }
  static Int or_(Int a, Int b) { return _mm512_or_si512(a, b); }
  static Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int subtract(Int a, int b) { return _mm512_sub_epi32(a, _mm512_set1_epi32(b)); }
  static Int multiply(Int a, Int b) { return _mm512_mullo_epi32(a, b); }
  static Int multiply(Int a, int b) { return _mm512_mullo_epi32(a, _mm512_set1_epi32(b)); }
  // Signed bytes as this set's products take them.
  static Int from_signed(Int v) { return _mm512_xor_si512(v, _mm512_set1_epi8(-128)); }
  static Int look_up(const uint8_t* table, Int index) {
    const __m128i levels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(levels), index);
  }

  static Float to_float(Int v) { return _mm512_cvtepi32_ps(v); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float sum) { return _mm512_fmadd_ps(a, b, sum); }
  static Float subtract_product(Float a, Float b, Float sum) { return _mm512_fnmadd_ps(a, b, sum); }

  // sum += products of pairs of 16-bit integers
  static Int add_pairs(Int sum, Int a, Int b) { return _mm512_dpwssd_epi32(sum, a, b); }

  // sums[n] += products of kWords words of weights with those of x, which lie kStride words apart.
  template <int kMax, int kWords, int kStride, int N>
  [[gnu::always_inline]] static void dot(Int* sums, const Int (*words)[kWords],
                                         const std::byte* x) {
    unroll<kWords>([&](auto i) __attribute__((always_inline)) {
      const Int four = broadcast(x + i * kStride * 4);
      unroll<N>([&](auto n) __attribute__((always_inline)) {
        sums[n] = _mm512_dpbusd_epi32(sums[n], words[n][i], four);
      });
    });
  }
};

}  // namespace
}  // namespace hachi::ops::cpu::avx512
