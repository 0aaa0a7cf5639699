#include "kernels/cpu/avx2.h"
#include "kernels/cpu/exp_avx2.h"
#include "kernels/cpu/simd_avx2.h"

namespace hachi::ops::cpu::avx2 {
namespace {

template <int M, int N>
struct Sums {
  __m256 of[M][N];
};

// Adds the weighted values of N vectors of the width to M rows: M * N sums stay in registers. By
// value: the compiler may not think that the sums lie in memory.
template <int M, int N>
inline __attribute__((always_inline)) Sums<M, N> add_weighted(const float* values, int64_t width,
                                                              const float* weights, int64_t count,
                                                              Sums<M, N> sums) {
  for (int64_t s = 0; s < count; ++s) {
    __m256 b[N];
    for (int v = 0; v < N; ++v) b[v] = _mm256_loadu_ps(values + s * width + v * 8);
    for (int i = 0; i < M; ++i) {
      const __m256 weight = _mm256_broadcast_ss(weights + i * kAttentionTile + s);
      for (int v = 0; v < N; ++v) sums.of[i][v] = _mm256_fmadd_ps(weight, b[v], sums.of[i][v]);
    }
  }
  return sums;
}

template <int M, int N>
void add_columns(const ValueTile& tile, int64_t row, int64_t column) {
  Sums<M, N> sums;
  for (int i = 0; i < M; ++i) {
    const __m256 factor = _mm256_set1_ps(tile.factors[row + i]);
    const float* y = tile.y[row + i] + column;
    for (int v = 0; v < N; ++v) {
      sums.of[i][v] = _mm256_mul_ps(factor, _mm256_loadu_ps(y + v * 8));
    }
  }
  sums = add_weighted<M, N>(tile.values + column, tile.width, tile.weights + row * kAttentionTile,
                            tile.count, sums);
  for (int i = 0; i < M; ++i) {
    float* y = tile.y[row + i] + column;
    for (int v = 0; v < N; ++v) _mm256_storeu_ps(y + v * 8, sums.of[i][v]);
  }
}

template <int M>
void add_rows(const ValueTile& tile, int64_t row) {
  int64_t column = 0;
  for (; column + 32 <= tile.width; column += 32) add_columns<M, 4>(tile, row, column);
  for (; column < tile.width; column += 8) add_columns<M, 1>(tile, row, column);
}

}  // namespace

float softmax(float* scores, int64_t count, float scale, SoftmaxState* state) {
  const __m256 nothing = _mm256_set1_ps(-__builtin_inff());
  const __m256 scales = _mm256_set1_ps(scale);
  __m256 a = _mm256_mul_ps(_mm256_loadu_ps(scores), scales);
  __m256 b = _mm256_mul_ps(_mm256_loadu_ps(scores + 8), scales);
  a = _mm256_blendv_ps(nothing, a, _mm256_castsi256_ps(first_lanes(count)));
  b = _mm256_blendv_ps(nothing, b, _mm256_castsi256_ps(first_lanes(count - 8)));
  const __m256 old = _mm256_set1_ps(state->max);
  const float max = max_of_lanes(_mm256_max_ps(_mm256_max_ps(a, b), old));
  const __m256 maxima = _mm256_set1_ps(max);
  a = exp_ps(_mm256_sub_ps(a, maxima));
  b = exp_ps(_mm256_sub_ps(b, maxima));
  _mm256_storeu_ps(scores, a);
  _mm256_storeu_ps(scores + 8, b);
  const float factor = _mm256_cvtss_f32(exp_ps(_mm256_sub_ps(old, maxima)));
  state->sum = state->sum * factor + sum_of_lanes(_mm256_add_ps(a, b));
  state->max = max;
  return factor;
}

void add_values(const ValueTile& tile) {
  int64_t row = 0;
  for (; row + 3 <= tile.num_y; row += 3) add_rows<3>(tile, row);
  if (tile.num_y - row == 2) add_rows<2>(tile, row);
  if (tile.num_y - row == 1) add_rows<1>(tile, row);
}

}  // namespace hachi::ops::cpu::avx2
