#include "kernels/cpu/avx2.h"
#include "kernels/cpu/simd_avx2.h"

namespace hachi::ops::cpu::avx2 {
namespace {

template <int M, int R>
struct Sums {
  __m256 of[M][R];
};

// The scales of the first and the last 16 of 32 elements, four times each: the lanes of those.
__m256 scale_lanes(const float* pair) {
  const __m256i lanes = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  double both;
  std::memcpy(&both, pair, sizeof both);
  return _mm256_permutevar_ps(_mm256_castpd_ps(_mm256_set1_pd(both)), lanes);
}

// Sums of four neighbouring products of bytes. The instruction takes bytes without a sign from the
// left: |w| and x with the sign of w. No pair of products leaves 16 bits: 2 * 128 * 127 < 2^15.
template <bool kSigned>
__m256 sums_of_four(__m256i w, __m256i magnitude, __m256i x) {
  const __m256i pairs = _mm256_maddubs_epi16(magnitude, kSigned ? _mm256_sign_epi8(x, w) : x);
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// M rows of x with R rows of w: M * R sums stay in registers. By value: the compiler may not think
// that the sums lie in memory.
template <int M, int R, bool kSigned>
inline __attribute__((always_inline)) Sums<M, R> add_products(const Int8Tile& tile,
                                                              const Int8Row* x, int64_t first_w,
                                                              Sums<M, R> sums) {
  const int8_t* w = tile.w.q + first_w * tile.w_stride;
  const float* scales = tile.w.scales + first_w * tile.w_stride / kGroup;
  for (int64_t k = 0; k < tile.n; k += kInt8Block) {
    for (int r = 0; r < R; ++r) {
      const __m256i b = load32(w + r * tile.w_stride + k);
      const __m256i magnitude = kSigned ? _mm256_abs_epi8(b) : b;
      const __m256 scale = scale_lanes(scales + (r * tile.w_stride + k) / kGroup);
      for (int i = 0; i < M; ++i) {
        const __m256 products = sums_of_four<kSigned>(b, magnitude, load32(x[i].q + k));
        const __m256 both = _mm256_mul_ps(scale, _mm256_broadcast_ss(x[i].scales + k / kInt8Block));
        sums.of[i][r] = _mm256_fmadd_ps(both, products, sums.of[i][r]);
      }
    }
  }
  return sums;
}

template <int M, int R, bool kSigned>
void dot_rows(const Int8Tile& tile, int64_t first_x, float* lanes) {
  for (int64_t r0 = 0; r0 < tile.num_w; r0 += R) {
    float* at = lanes + (first_x * tile.num_w + r0) * kLanes;
    const int64_t next_x = tile.num_w * kLanes;
    Sums<M, R> sums;
    for (int i = 0; i < M; ++i) {
      for (int r = 0; r < R; ++r) sums.of[i][r] = _mm256_loadu_ps(at + i * next_x + r * kLanes);
    }
    sums = add_products<M, R, kSigned>(tile, tile.x + first_x, r0, sums);
    for (int i = 0; i < M; ++i) {
      for (int r = 0; r < R; ++r) _mm256_storeu_ps(at + i * next_x + r * kLanes, sums.of[i][r]);
    }
  }
}

template <bool kSigned>
void dot_tokens(const Int8Tile& tile, float* lanes) {
  int64_t i = 0;
  for (; i + 4 <= tile.num_x; i += 4) dot_rows<4, 2, kSigned>(tile, i, lanes);
  if (tile.num_x - i == 3) dot_rows<3, 2, kSigned>(tile, i, lanes);
  if (tile.num_x - i == 2) dot_rows<2, 4, kSigned>(tile, i, lanes);
  if (tile.num_x - i == 1) dot_rows<1, 8, kSigned>(tile, i, lanes);
}

}  // namespace

void dot_int8(const Int8Tile& tile, float* lanes) {
  if (tile.w_signed) {
    dot_tokens<true>(tile, lanes);
  } else {
    dot_tokens<false>(tile, lanes);
  }
}

}  // namespace hachi::ops::cpu::avx2
