// exp of eight floats. Static: see inner_loops.h.
#pragma once

#include <immintrin.h>

namespace hachi::ops::cpu::avx2 {

// Within 2 units in the last place over all floats; 0 below -104, infinite above 88.73, NaN of NaN.
// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2, where the Taylor series up to
// r^7 leaves out less than 6e-9 of the value.
static inline __m256 exp_ps(__m256 x) {
  // Operands in this order let a NaN through. Beyond these the result is 0 or infinite already.
  x = _mm256_min_ps(_mm256_set1_ps(90.0f), x);
  x = _mm256_max_ps(_mm256_set1_ps(-110.0f), x);
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln 2 in two parts; the first has so few bits that n times it is exact.
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.0f / 5040);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  // 2^n as two factors: n goes beyond the exponents of f32 at both ends.
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i rest = _mm256_sub_epi32(whole, half);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256 f = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const __m256 g = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
  return _mm256_mul_ps(_mm256_mul_ps(p, f), g);
}

}  // namespace hachi::ops::cpu::avx2
