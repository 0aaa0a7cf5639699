// exp of sixteen floats. Static: see inner_loops.h.
#pragma once

#include <cstdint>
#include <immintrin.h>

namespace hachi::ops::cpu::avx512 {

// As exp_avx2.h, with the instruction that scales by a power of two: within 2 units in the last
// place, 0 below -104, infinite above 88.73, NaN of NaN.
static inline __m512 exp_ps(__m512 x) {
  // Operands in this order let a NaN through. Beyond these the result is 0 or infinite already.
  x = _mm512_min_ps(_mm512_set1_ps(90.0f), x);
  x = _mm512_max_ps(_mm512_set1_ps(-110.0f), x);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.0f / 5040);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

// A mask of the first n of 16 lanes, none for n <= 0.
static inline __mmask16 first_lanes(int64_t n) {
  if (n <= 0) return 0;
  return static_cast<__mmask16>(n >= 16 ? 0xffff : (1u << n) - 1);
}

}  // namespace hachi::ops::cpu::avx512
