#include <immintrin.h>

#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx512.h"
#include "kernels/cpu/unroll.h"
#include "kernels/int8_row.h"

namespace hachi::ops::cpu::avx512 {
namespace {

constexpr int64_t kBlocks = 8;  // of 32 elements, taken together
constexpr int64_t kRun = kBlocks * kInt8Block;
constexpr int kVectors = kRun / 16;

struct Max {
  static __m512i of(__m512i a, __m512i b) { return _mm512_max_epi32(a, b); }
};
struct Sum {
  static __m512i of(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
};

// Reduces each of eight vectors to one number, which end side by side. Each step folds vectors in
// half, two into one.
template <class Op>
__m256i reduce_each(const __m512i* v) {
  __m512i halves[4];
  unroll<4>([&](auto i) __attribute__((always_inline)) {
    halves[i] = Op::of(_mm512_shuffle_i64x2(v[i], v[i + 4], 0x44),
                       _mm512_shuffle_i64x2(v[i], v[i + 4], 0xee));
  });
  __m512i quarters[2];
  unroll<2>([&](auto i) __attribute__((always_inline)) {
    const __m512i a = halves[2 * i], b = halves[2 * i + 1];
    quarters[i] = Op::of(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xdd));
  });
  const __m512i pairs = Op::of(_mm512_unpacklo_epi64(quarters[0], quarters[1]),
                               _mm512_unpackhi_epi64(quarters[0], quarters[1]));
  const __m512i all = Op::of(pairs, _mm512_shuffle_epi32(pairs, _MM_PERM_CDAB));
  const __m512i order = _mm512_setr_epi32(0, 8, 2, 10, 4, 12, 6, 14, 0, 0, 0, 0, 0, 0, 0, 0);
  return _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, all));
}

// As integers, so that a NaN is larger than all else.
__m512i magnitude_bits(const float* x) {
  return _mm512_and_si512(_mm512_loadu_si512(x), _mm512_set1_epi32(0x7fffffff));
}

// What is not finite becomes the most negative integer, of which the last byte is 0.
__m512i round16(const float* x, __m512 inverse, int8_t* q) {
  const __m512i words = _mm512_cvt_roundps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), inverse),
                                                 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(words));
  return words;
}

__m256 through_f16(__m256 v) {
  return _mm256_cvtph_ps(_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// Of eight blocks. int8_row.h says what becomes of maxima for which there is no factor.
struct Factors {
  __m256 inverse, scale;
};
Factors factors_of(__m256 max, __m256 inverse, __m256 scale) {
  const __m256 most = _mm256_set1_ps(__FLT_MAX__);
  const __mmask8 finite = _mm256_cmp_ps_mask(max, most, _CMP_LE_OQ);
  const __mmask8 rounds = finite & _mm256_cmp_ps_mask(inverse, most, _CMP_LE_OQ);
  const __m256 otherwise =
      _mm256_mask_blend_ps(finite, _mm256_set1_ps(__builtin_nanf("")), _mm256_setzero_ps());
  return {_mm256_maskz_mov_ps(rounds, inverse), _mm256_mask_blend_ps(rounds, otherwise, scale)};
}

void round_blocks_of_32(const float* x, const Int8Row& row) {
  __m512i lanes[kBlocks];
  unroll<kBlocks>([&](auto b) __attribute__((always_inline)) {
    lanes[b] = Max::of(magnitude_bits(x + 32 * b), magnitude_bits(x + 32 * b + 16));
  });
  const __m256 max = _mm256_castsi256_ps(reduce_each<Max>(lanes));
  const __m256 most = _mm256_set1_ps(127.0f);
  const Factors factors = factors_of(max, _mm256_div_ps(most, max), _mm256_div_ps(max, most));
  const __m512 inverses = _mm512_castps256_ps512(factors.inverse);
  unroll<kBlocks>([&](auto b) __attribute__((always_inline)) {
    const __m512 inverse = _mm512_permutexvar_ps(_mm512_set1_epi32(b), inverses);
    const float* from = x + 32 * b;
    int8_t* to = row.q + 32 * b;
    lanes[b] = Sum::of(round16(from, inverse, to), round16(from + 16, inverse, to + 16));
  });
  const __m256 totals = _mm256_cvtepi32_ps(reduce_each<Sum>(lanes));
  const __m256 sums = through_f16(_mm256_mul_ps(factors.scale, totals));
  _mm256_storeu_ps(row.scales, through_f16(factors.scale));
  _mm512_storeu_si512(row.sums, _mm512_cvtepu32_epi64(_mm256_castps_si256(sums)));
}

void round_block_of_256(const float* x, const Int8Row& row) {
  __m512i bits = magnitude_bits(x);
  for (int i = 1; i < kVectors; ++i) bits = Max::of(bits, magnitude_bits(x + 16 * i));
  const __m256 max = _mm256_castsi256_ps(_mm256_set1_epi32(_mm512_reduce_max_epi32(bits)));
  const __m256 inverse = _mm256_div_ps(_mm256_set1_ps(127.0f), max);
  const Factors factors = factors_of(max, inverse, _mm256_div_ps(_mm256_set1_ps(1.0f), inverse));
  const __m512 inverses = _mm512_broadcastss_ps(_mm256_castps256_ps128(factors.inverse));
  for (int half = 0; half < 2; ++half) {
    __m512i words[kBlocks];
    unroll<kBlocks>([&](auto i) __attribute__((always_inline)) {
      const int at = half * 128 + 16 * i;
      words[i] = round16(x + at, inverses, row.q + at);
    });
    const __m256 totals = _mm256_cvtepi32_ps(reduce_each<Sum>(words));
    _mm256_storeu_ps(row.sums + 8 * half, _mm256_mul_ps(factors.scale, totals));
  }
  _mm256_storeu_ps(row.scales, factors.scale);
}

}  // namespace

void round_to_int8(DType dtype, const float* x, int64_t n, const Int8Row& row) {
  const int64_t block = traits(dtype).block_size;
  int64_t i = 0;
  for (; i + kRun <= n; i += kRun) {
    const Int8Row at = {row.q + i, row.scales + i / kInt8Block, row.sums + i / 16};
    block == kInt8Block ? round_blocks_of_32(x + i, at) : round_block_of_256(x + i, at);
  }
  if (i == n) return;
  avx2::round_to_int8(dtype, x + i, n - i,
                      {row.q + i, row.scales + i / kInt8Block, row.sums + i / 16});
}

}  // namespace hachi::ops::cpu::avx512
