#include "kernels/cpu/avx512.h"
#include "kernels/cpu/exp_avx512.h"

namespace hachi::ops::cpu::avx512 {
namespace {

__m512 silu_times(__m512 gate, __m512 up) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 denominator = _mm512_add_ps(one, exp_ps(_mm512_sub_ps(_mm512_setzero_ps(), gate)));
  return _mm512_mul_ps(_mm512_div_ps(gate, denominator), up);
}

__m512 gelu_times(__m512 gate, __m512 up) {
  const __m512 slope = _mm512_fmadd_ps(_mm512_set1_ps(kGeluCubic), _mm512_mul_ps(gate, gate),
                                       _mm512_set1_ps(kGeluLinear));
  const __m512 denominator =
      _mm512_add_ps(_mm512_set1_ps(1.0f), exp_ps(_mm512_mul_ps(gate, slope)));
  return _mm512_mul_ps(_mm512_div_ps(gate, denominator), up);
}

template <class Product>
void gated(float* y, const float* gate, const float* up, int64_t n, const Product& product) {
  int64_t f = 0;
  for (; f + 16 <= n; f += 16) {
    _mm512_storeu_ps(y + f, product(_mm512_loadu_ps(gate + f), _mm512_loadu_ps(up + f)));
  }
  const __mmask16 rest = first_lanes(n - f);
  _mm512_mask_storeu_ps(
      y + f, rest,
      product(_mm512_maskz_loadu_ps(rest, gate + f), _mm512_maskz_loadu_ps(rest, up + f)));
}

}  // namespace

void swiglu(float* y, const float* gate, const float* up, int64_t n) {
  gated(y, gate, up, n, [](__m512 g, __m512 u) { return silu_times(g, u); });
}

void geglu(float* y, const float* gate, const float* up, int64_t n) {
  gated(y, gate, up, n, [](__m512 g, __m512 u) { return gelu_times(g, u); });
}

}  // namespace hachi::ops::cpu::avx512
