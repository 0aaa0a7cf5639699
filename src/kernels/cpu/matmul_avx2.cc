#include "kernels/cpu/avx2.h"
#include "kernels/cpu/simd_avx2.h"

namespace hachi::ops::cpu::avx2 {
namespace {

template <int M, int R>
struct Sums {
  __m256 of[M][R];
};

// Adds the products of M rows of x with R rows of w: M * R sums stay in registers, so that each
// vector loaded serves R or M multiply-adds. 3 x 4 and 1 x 8 keep the two multiply-add units busy
// within 16 registers. By value: the compiler may not think that the sums lie in memory.
template <int M, int R>
inline __attribute__((always_inline)) Sums<M, R> add_products(const float* const* x, const float* w,
                                                              int64_t w_stride, int64_t n,
                                                              Sums<M, R> sums) {
  const float* rows[M];
  for (int i = 0; i < M; ++i) rows[i] = x[i];
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) {
    __m256 a[M];
    for (int i = 0; i < M; ++i) a[i] = _mm256_loadu_ps(rows[i] + k);
    for (int r = 0; r < R; ++r) {
      const __m256 b = _mm256_loadu_ps(w + r * w_stride + k);
      for (int i = 0; i < M; ++i) sums.of[i][r] = _mm256_fmadd_ps(a[i], b, sums.of[i][r]);
    }
  }
  if (k == n) return sums;
  const __m256i mask = first_lanes(n - k);
  for (int i = 0; i < M; ++i) {
    const __m256 a = _mm256_maskload_ps(rows[i] + k, mask);
    for (int r = 0; r < R; ++r) {
      sums.of[i][r] = _mm256_fmadd_ps(a, _mm256_loadu_ps(w + r * w_stride + k), sums.of[i][r]);
    }
  }
  return sums;
}

template <int M, int R>
void dot_lanes_of(const DotTile& tile, int64_t first_x, float* lanes) {
  for (int64_t r0 = 0; r0 < tile.num_w; r0 += R) {
    float* at = lanes + (first_x * tile.num_w + r0) * kLanes;
    const int64_t next_x = tile.num_w * kLanes;
    Sums<M, R> sums;
    for (int i = 0; i < M; ++i) {
      for (int r = 0; r < R; ++r) sums.of[i][r] = _mm256_loadu_ps(at + i * next_x + r * kLanes);
    }
    sums = add_products<M, R>(tile.x + first_x, tile.w + r0 * tile.w_stride, tile.w_stride, tile.n,
                              sums);
    for (int i = 0; i < M; ++i) {
      for (int r = 0; r < R; ++r) _mm256_storeu_ps(at + i * next_x + r * kLanes, sums.of[i][r]);
    }
  }
}

}  // namespace

void dot_lanes(const DotTile& tile, float* lanes) {
  int64_t i = 0;
  for (; i + 3 <= tile.num_x; i += 3) dot_lanes_of<3, 4>(tile, i, lanes);
  if (tile.num_x - i == 2) dot_lanes_of<2, 4>(tile, i, lanes);
  if (tile.num_x - i == 1) dot_lanes_of<1, 8>(tile, i, lanes);
}

void sum_lanes(const float* lanes, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += 4) {
    const float* at = lanes + i * kLanes;
    _mm_storeu_ps(
        y + i, sums_of_lanes(_mm256_loadu_ps(at), _mm256_loadu_ps(at + kLanes),
                             _mm256_loadu_ps(at + 2 * kLanes), _mm256_loadu_ps(at + 3 * kLanes)));
  }
}

}  // namespace hachi::ops::cpu::avx2
