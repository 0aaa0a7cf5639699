#include "kernels/cpu/avx512.h"
#include "kernels/cpu/exp_avx512.h"

namespace hachi::ops::cpu::avx512 {
namespace {

__m512 silu_times(__m512 gate, __m512 up) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 denominator = _mm512_add_ps(one, exp_ps(_mm512_sub_ps(_mm512_setzero_ps(), gate)));
  return _mm512_mul_ps(_mm512_div_ps(gate, denominator), up);
}

}  // namespace

void swiglu(float* y, const float* gate, const float* up, int64_t n) {
  int64_t f = 0;
  for (; f + 16 <= n; f += 16) {
    _mm512_storeu_ps(y + f, silu_times(_mm512_loadu_ps(gate + f), _mm512_loadu_ps(up + f)));
  }
  const __mmask16 rest = first_lanes(n - f);
  _mm512_mask_storeu_ps(
      y + f, rest,
      silu_times(_mm512_maskz_loadu_ps(rest, gate + f), _mm512_maskz_loadu_ps(rest, up + f)));
}

}  // namespace hachi::ops::cpu::avx512
