// Scores are q times a page of keys, sums are weights times a page of values: one product, of up to
// 6 rows with 16 columns in 12 registers, whose right side is turned into floats on the way.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/exp_avx2.h"
#include "kernels/cpu/simd_avx2.h"
#include "kernels/kv_page.h"

namespace hachi::ops::cpu::avx2 {
namespace {

constexpr int64_t kColumns = 16;

struct F32 {
  static constexpr int64_t kBytes = 4;
  static __m256 load(const std::byte* p) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  }
};

struct F16 {
  static constexpr int64_t kBytes = 2;
  static __m256 load(const std::byte* p) { return _mm256_cvtph_ps(load16(p)); }
};

struct BF16 {
  static constexpr int64_t kBytes = 2;
  static __m256 load(const std::byte* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(p)), 16));
  }
};

struct Int8 {
  static constexpr int64_t kBytes = 1;
  static __m256 load(const std::byte* p) {
    return floats_of_low(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
};

// M rows of N vectors.
template <int M, int N>
struct Sums {
  __m256 of[M][N];
};

// Rows of a page from some offset on, and the same place of a page to fetch on the way.
struct StoredRows {
  const std::byte* at;
  const std::byte* ahead;
  int64_t stride;  // bytes from one row to the next

  StoredRows(const std::byte* page, const std::byte* next_page, int64_t offset, int64_t row_bytes)
      : at(page + offset), ahead(next_page + offset), stride(row_bytes) {}
};

// sums[i] += sum over k of a[i][k] * b[k], in the order of k. By value: the compiler may not think
// that the sums lie in memory.
template <class Type, int64_t kStride, int M, int N>
inline __attribute__((always_inline)) Sums<M, N> multiply(const float* a, StoredRows b,
                                                          int64_t count, Sums<M, N> sums) {
  for (int64_t k = 0; k < count; ++k) {
    // Not in a function of its own: GCC 12 finds that one without effect and drops its calls.
    _mm_prefetch(reinterpret_cast<const char*>(b.ahead + k * b.stride), _MM_HINT_T0);
    __m256 row[N];
    for (int v = 0; v < N; ++v) row[v] = Type::load(b.at + k * b.stride + v * 8 * Type::kBytes);
    for (int i = 0; i < M; ++i) {
      const __m256 x = _mm256_broadcast_ss(a + i * kStride + k);
      for (int v = 0; v < N; ++v) sums.of[i][v] = _mm256_fmadd_ps(x, row[v], sums.of[i][v]);
    }
  }
  return sums;
}

template <int M, int N>
inline __attribute__((always_inline)) Sums<M, N> zeros() {
  Sums<M, N> sums;
  for (auto& row : sums.of) {
    for (__m256& sum : row) sum = _mm256_setzero_ps();
  }
  return sums;
}

template <int M, int N>
inline __attribute__((always_inline)) Sums<M, N> load(const float* y) {
  Sums<M, N> sums;
  for (int i = 0; i < M; ++i) {
    for (int v = 0; v < N; ++v) sums.of[i][v] = _mm256_loadu_ps(y + i * kRowStride + v * 8);
  }
  return sums;
}

template <int M, int N>
inline __attribute__((always_inline)) void store(float* y, Sums<M, N> sums) {
  for (int i = 0; i < M; ++i) {
    for (int v = 0; v < N; ++v) _mm256_storeu_ps(y + i * kRowStride + v * 8, sums.of[i][v]);
  }
}

// One half of the positions.
template <int M, class Type>
void score_rows(const KeyTile& tile, int64_t row, int64_t position) {
  const float* q = tile.q + row * kRowStride;
  const StoredRows keys(tile.page, tile.ahead, position * Type::kBytes,
                        kPagePositions * Type::kBytes);
  store(tile.scores + row * kRowStride + position,
        multiply<Type, kRowStride>(q, keys, tile.width, zeros<M, 2>()));
}

// Where the scales of the block that has element d begin, in bytes from the page's first: a cache
// line of them.
int64_t scales_offset(int64_t width, int64_t d) {
  return (width + d / kKvBlock * F16::kBytes) * kPagePositions;
}

// Codes first, 32 elements of the head at a time; then the scales of the positions.
template <int M>
void score_int8_rows(const KeyTile& tile, int64_t row, int64_t position) {
  const float* q = tile.q + row * kRowStride;
  float* scores = tile.scores + row * kRowStride + position;
  store(scores, zeros<M, 2>());
  for (int64_t d = 0; d < tile.width; d += kKvBlock) {
    const StoredRows keys(tile.page, tile.ahead, d * kPagePositions + position, kPagePositions);
    const auto block = multiply<Int8, kRowStride>(q + d, keys, kKvBlock, zeros<M, 2>());
    const StoredRows scales(tile.page, tile.ahead, scales_offset(tile.width, d), 0);
    _mm_prefetch(reinterpret_cast<const char*>(scales.ahead), _MM_HINT_T0);
    const std::byte* at = scales.at + position * F16::kBytes;
    const __m256 scale[2] = {F16::load(at), F16::load(at + 8 * F16::kBytes)};
    auto sums = load<M, 2>(scores);
    for (int i = 0; i < M; ++i) {
      for (int v = 0; v < 2; ++v) {
        sums.of[i][v] = _mm256_fmadd_ps(block.of[i][v], scale[v], sums.of[i][v]);
      }
    }
    store(scores, sums);
  }
}

// Columns [column, column + 8 * N).
template <int M, int N, class Type>
void add_columns(const ValueTile& tile, int64_t row, int64_t column) {
  float* y = tile.y + row * kRowStride + column;
  const int64_t stride = tile.width * Type::kBytes;
  const StoredRows values(tile.page, tile.ahead, tile.first * stride + column * Type::kBytes,
                          stride);
  store(y, multiply<Type, kRowStride>(tile.weights + row * kRowStride, values, tile.count,
                                      load<M, N>(y)));
}

// The scales of the positions go into the weights.
template <int M>
void add_int8_columns(const ValueTile& tile, int64_t row, int64_t column) {
  const StoredRows scales(tile.page, tile.ahead, scales_offset(tile.width, column), 0);
  _mm_prefetch(reinterpret_cast<const char*>(scales.ahead), _MM_HINT_T0);
  alignas(32) float scale[kPagePositions];
  for (int64_t s = 0; s < kPagePositions; s += 8) {
    _mm256_store_ps(scale + s, F16::load(scales.at + s * F16::kBytes));
  }
  alignas(32) float weights[M * kPagePositions];
  for (int64_t s = 0; s < tile.count; ++s) {
    for (int i = 0; i < M; ++i) {
      weights[i * kPagePositions + s] =
          tile.weights[(row + i) * kRowStride + s] * scale[tile.first + s];
    }
  }
  float* y = tile.y + row * kRowStride + column;
  const StoredRows values(tile.page, tile.ahead, tile.first * tile.width + column, tile.width);
  store(y, multiply<Int8, kPagePositions>(weights, values, tile.count, load<M, 2>(y)));
}

template <int M>
struct Height {};

// Calls body(first row, Height<M>) for blocks of M of n rows.
template <class Body>
inline void in_blocks(int64_t n, const Body& body) {
  int64_t row = 0;
  for (; row + 6 <= n; row += 6) body(row, Height<6>());
  if (row + 4 <= n) body(row, Height<4>()), row += 4;
  if (row + 3 <= n) return body(row, Height<3>());
  if (row + 2 <= n) return body(row, Height<2>());
  if (row + 1 <= n) body(row, Height<1>());
}

template <class Type>
void score(const KeyTile& tile) {
  for (int64_t position = 0; position < kPagePositions; position += kColumns) {
    in_blocks(tile.num_q,
              [&]<int M>(int64_t row, Height<M>) { score_rows<M, Type>(tile, row, position); });
  }
}

template <class Type>
void add(const ValueTile& tile) {
  int64_t column = 0;
  for (; column + kColumns <= tile.width; column += kColumns) {
    in_blocks(tile.num_y,
              [&]<int M>(int64_t row, Height<M>) { add_columns<M, 2, Type>(tile, row, column); });
  }
  if (column == tile.width) return;
  in_blocks(tile.num_y,
            [&]<int M>(int64_t row, Height<M>) { add_columns<M, 1, Type>(tile, row, column); });
}

}  // namespace

void score_keys(const KeyTile& tile) {
  if (tile.dtype == DType::kF16) return score<F16>(tile);
  if (tile.dtype == DType::kBF16) return score<BF16>(tile);
  if (tile.dtype == DType::kF32) return score<F32>(tile);
  for (int64_t position = 0; position < kPagePositions; position += kColumns) {
    in_blocks(tile.num_q,
              [&]<int M>(int64_t row, Height<M>) { score_int8_rows<M>(tile, row, position); });
  }
}

void add_values(const ValueTile& tile) {
  if (tile.dtype == DType::kF16) return add<F16>(tile);
  if (tile.dtype == DType::kBF16) return add<BF16>(tile);
  if (tile.dtype == DType::kF32) return add<F32>(tile);
  for (int64_t column = 0; column < tile.width; column += kColumns) {
    in_blocks(tile.num_y,
              [&]<int M>(int64_t row, Height<M>) { add_int8_columns<M>(tile, row, column); });
  }
}

SoftmaxState softmax(float* scores, int64_t count) {
  const __m256 nothing = _mm256_set1_ps(-__builtin_inff());
  const auto load_first = [&](int64_t s) {
    const __m256i lanes = first_lanes(count - s);
    return _mm256_blendv_ps(nothing, _mm256_maskload_ps(scores + s, lanes),
                            _mm256_castsi256_ps(lanes));
  };
  __m256 maxima = nothing;
  for (int64_t s = 0; s < count; s += 8) maxima = _mm256_max_ps(maxima, load_first(s));
  const float max = max_of_lanes(maxima);
  maxima = _mm256_set1_ps(max);
  __m256 sums = _mm256_setzero_ps();
  for (int64_t s = 0; s < count; s += 8) {
    const __m256 weights = exp_ps(_mm256_sub_ps(load_first(s), maxima));
    _mm256_storeu_ps(scores + s, weights);
    sums = _mm256_add_ps(sums, weights);
  }
  return {max, sum_of_lanes(sums)};
}

void merge(SoftmaxState* into, float* y, const SoftmaxState& from, const float* sums, int64_t n) {
  const float max = into->max < from.max ? from.max : into->max;
  const __m256 old_factors = exp_ps(_mm256_set1_ps(into->max - max));
  const __m256 new_factors = exp_ps(_mm256_set1_ps(from.max - max));
  const float old_sum = into->sum * _mm256_cvtss_f32(old_factors);
  *into = {max, old_sum + from.sum * _mm256_cvtss_f32(new_factors)};
  for (int64_t d = 0; d < n; d += 8) {
    const __m256 added = _mm256_mul_ps(_mm256_loadu_ps(sums + d), new_factors);
    _mm256_storeu_ps(y + d, _mm256_fmadd_ps(_mm256_loadu_ps(y + d), old_factors, added));
  }
}

}  // namespace hachi::ops::cpu::avx2
