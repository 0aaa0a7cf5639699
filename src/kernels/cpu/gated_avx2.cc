#include "kernels/cpu/avx2.h"
#include "kernels/cpu/exp_avx2.h"
#include "kernels/cpu/simd_avx2.h"

namespace hachi::ops::cpu::avx2 {
namespace {

__m256 silu_times(__m256 gate, __m256 up) {
  const __m256 zero = _mm256_setzero_ps();
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 denominator = _mm256_add_ps(one, exp_ps(_mm256_sub_ps(zero, gate)));
  return _mm256_mul_ps(_mm256_div_ps(gate, denominator), up);
}

__m256 gelu_times(__m256 gate, __m256 up) {
  const __m256 slope = _mm256_fmadd_ps(_mm256_set1_ps(kGeluCubic), _mm256_mul_ps(gate, gate),
                                       _mm256_set1_ps(kGeluLinear));
  const __m256 denominator =
      _mm256_add_ps(_mm256_set1_ps(1.0f), exp_ps(_mm256_mul_ps(gate, slope)));
  return _mm256_mul_ps(_mm256_div_ps(gate, denominator), up);
}

template <class Product>
void gated(float* y, const float* gate, const float* up, int64_t n, const Product& product) {
  int64_t f = 0;
  for (; f + 8 <= n; f += 8) {
    _mm256_storeu_ps(y + f, product(_mm256_loadu_ps(gate + f), _mm256_loadu_ps(up + f)));
  }
  const __m256i rest = first_lanes(n - f);
  _mm256_maskstore_ps(
      y + f, rest, product(_mm256_maskload_ps(gate + f, rest), _mm256_maskload_ps(up + f, rest)));
}

}  // namespace

void swiglu(float* y, const float* gate, const float* up, int64_t n) {
  gated(y, gate, up, n, [](__m256 g, __m256 u) { return silu_times(g, u); });
}

void geglu(float* y, const float* gate, const float* up, int64_t n) {
  gated(y, gate, up, n, [](__m256 g, __m256 u) { return gelu_times(g, u); });
}

}  // namespace hachi::ops::cpu::avx2
