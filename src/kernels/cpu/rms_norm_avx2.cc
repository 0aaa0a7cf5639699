#include "kernels/cpu/avx2.h"
#include "kernels/cpu/simd_avx2.h"

namespace hachi::ops::cpu::avx2 {

void rms_norm(float* y, const float* x, const float* w, int64_t n, float eps) {
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                    _mm256_setzero_ps()};
  const int64_t whole = n / 8;
  int64_t v = 0;
  for (; v + 4 <= whole; v += 4) {
    for (int i = 0; i < 4; ++i) {
      const __m256 a = _mm256_loadu_ps(x + (v + i) * 8);
      sums[i] = _mm256_fmadd_ps(a, a, sums[i]);
    }
  }
  for (; v < whole; ++v) {
    const __m256 a = _mm256_loadu_ps(x + v * 8);
    sums[0] = _mm256_fmadd_ps(a, a, sums[0]);
  }
  const __m256i rest = first_lanes(n - whole * 8);
  const __m256 last = _mm256_maskload_ps(x + whole * 8, rest);
  sums[0] = _mm256_fmadd_ps(last, last, sums[0]);
  const float squares =
      sum_of_lanes(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
  const __m128 mean = _mm_set_ss(squares / static_cast<float>(n) + eps);
  const __m256 scale = _mm256_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(mean)));
  for (v = 0; v < whole; ++v) {
    const __m256 a = _mm256_mul_ps(_mm256_loadu_ps(x + v * 8), scale);
    _mm256_storeu_ps(y + v * 8, _mm256_mul_ps(a, _mm256_loadu_ps(w + v * 8)));
  }
  const __m256 a = _mm256_mul_ps(last, scale);
  _mm256_maskstore_ps(y + whole * 8, rest,
                      _mm256_mul_ps(a, _mm256_maskload_ps(w + whole * 8, rest)));
}

}  // namespace hachi::ops::cpu::avx2
