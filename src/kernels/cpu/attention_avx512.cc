// Scores are q times a page of keys, sums are weights times a page of values: one product, of up to
// 12 rows with 32 columns in 24 registers, whose right side is turned into floats on the way.
#include "kernels/cpu/avx512.h"
#include "kernels/cpu/exp_avx512.h"
#include "kernels/kv_page.h"

namespace hachi::ops::cpu::avx512 {
namespace {

constexpr int64_t kColumns = 32;

struct F32 {
  static constexpr int64_t kBytes = 4;
  static __m512 load(const std::byte* p) { return _mm512_loadu_ps(p); }
  static __m512 load(const std::byte* p, __mmask16 lanes) {
    return _mm512_maskz_loadu_ps(lanes, p);
  }
};

struct F16 {
  static constexpr int64_t kBytes = 2;
  static __m512 load(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m512 load(const std::byte* p, __mmask16 lanes) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, p));
  }
};

struct BF16 {
  static constexpr int64_t kBytes = 2;
  static __m512 widen(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  static __m512 load(const std::byte* p) {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m512 load(const std::byte* p, __mmask16 lanes) {
    return widen(_mm256_maskz_loadu_epi16(lanes, p));
  }
};

struct Int8 {
  static constexpr int64_t kBytes = 1;
  static __m512 load(const std::byte* p) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes));
  }
};

// Rows of a page from some offset on, and the same place of a page to fetch on the way.
struct Place {
  const std::byte* at;
  const std::byte* ahead;
  int64_t stride;  // bytes from one row to the next

  Place(const std::byte* page, const std::byte* next_page, int64_t offset, int64_t row_bytes)
      : at(page + offset), ahead(next_page + offset), stride(row_bytes) {}
};

// Rows of 32 stored numbers.
template <class Type>
struct Whole : Place {
  using Place::Place;
  __m512 low(int64_t k) const { return Type::load(at + k * stride); }
  __m512 high(int64_t k) const { return Type::load(at + k * stride + 16 * Type::kBytes); }
};

// Rows of fewer; nothing beyond them is read.
template <class Type>
struct Part : Place {
  __mmask16 low_lanes, high_lanes;
  Part(const Place& place, int64_t columns)
      : Place(place), low_lanes(first_lanes(columns)), high_lanes(first_lanes(columns - 16)) {}
  __m512 low(int64_t k) const { return Type::load(at + k * stride, low_lanes); }
  __m512 high(int64_t k) const {
    return Type::load(at + k * stride + 16 * Type::kBytes, high_lanes);
  }
};

template <int M>
struct Sums {
  __m512 of[M][2];
};

// sums[i] += sum over k of a[i][k] * b[k], in the order of k. By value: the compiler may not think
// that the sums lie in memory.
template <int M, int64_t kStride, class Rows>
inline __attribute__((always_inline)) Sums<M> multiply(const float* a, Rows b, int64_t count,
                                                       Sums<M> sums) {
  for (int64_t k = 0; k < count; ++k) {
    // Not in a function of its own: GCC 12 finds that one without effect and drops its calls.
    _mm_prefetch(b.ahead + k * b.stride, _MM_HINT_T0);
    const __m512 low = b.low(k);
    const __m512 high = b.high(k);
    for (int i = 0; i < M; ++i) {
      const __m512 x = _mm512_set1_ps(a[i * kStride + k]);
      sums.of[i][0] = _mm512_fmadd_ps(x, low, sums.of[i][0]);
      sums.of[i][1] = _mm512_fmadd_ps(x, high, sums.of[i][1]);
    }
  }
  return sums;
}

template <int M>
inline __attribute__((always_inline)) Sums<M> zeros() {
  Sums<M> sums;
  for (auto& row : sums.of) row[0] = row[1] = _mm512_setzero_ps();
  return sums;
}

template <int M>
inline __attribute__((always_inline)) Sums<M> load(const float* y) {
  Sums<M> sums;
  for (int i = 0; i < M; ++i) {
    sums.of[i][0] = _mm512_loadu_ps(y + i * kRowStride);
    sums.of[i][1] = _mm512_loadu_ps(y + i * kRowStride + 16);
  }
  return sums;
}

template <int M>
inline __attribute__((always_inline)) void store(float* y, Sums<M> sums) {
  for (int i = 0; i < M; ++i) {
    _mm512_storeu_ps(y + i * kRowStride, sums.of[i][0]);
    _mm512_storeu_ps(y + i * kRowStride + 16, sums.of[i][1]);
  }
}

template <int M, class Type>
void score_rows(const KeyTile& tile, int64_t row) {
  const float* q = tile.q + row * kRowStride;
  float* scores = tile.scores + row * kRowStride;
  const Whole<Type> keys(tile.page, tile.ahead, 0, kPagePositions * Type::kBytes);
  store<M>(scores, multiply<M, kRowStride>(q, keys, tile.width, zeros<M>()));
}

// Where the scales of the block that has element d begin, in bytes from the page's first: a cache
// line of them.
int64_t scales_offset(int64_t width, int64_t d) {
  return (width + d / kKvBlock * F16::kBytes) * kPagePositions;
}

// Codes first, 32 elements of the head at a time; then the scales of the positions.
template <int M>
void score_int8_rows(const KeyTile& tile, int64_t row) {
  const float* q = tile.q + row * kRowStride;
  float* scores = tile.scores + row * kRowStride;
  store<M>(scores, zeros<M>());
  for (int64_t d = 0; d < tile.width; d += kKvBlock) {
    const Whole<Int8> keys(tile.page, tile.ahead, d * kPagePositions, kPagePositions);
    const Sums<M> block = multiply<M, kRowStride>(q + d, keys, kKvBlock, zeros<M>());
    const Whole<F16> scales(tile.page, tile.ahead, scales_offset(tile.width, d), 0);
    _mm_prefetch(scales.ahead, _MM_HINT_T0);
    const __m512 low = scales.low(0);
    const __m512 high = scales.high(0);
    Sums<M> sums = load<M>(scores);
    for (int i = 0; i < M; ++i) {
      sums.of[i][0] = _mm512_fmadd_ps(block.of[i][0], low, sums.of[i][0]);
      sums.of[i][1] = _mm512_fmadd_ps(block.of[i][1], high, sums.of[i][1]);
    }
    store<M>(scores, sums);
  }
}

template <int M, class Type>
void add_columns(const ValueTile& tile, int64_t row, int64_t column) {
  const float* weights = tile.weights + row * kRowStride;
  float* y = tile.y + row * kRowStride + column;
  const int64_t stride = tile.width * Type::kBytes;
  const Whole<Type> values(tile.page, tile.ahead, tile.first * stride + column * Type::kBytes,
                           stride);
  const int64_t columns = tile.width - column;
  if (columns >= kColumns) {
    store<M>(y, multiply<M, kRowStride>(weights, values, tile.count, load<M>(y)));
  } else {
    const Part<Type> part(values, columns);
    store<M>(y, multiply<M, kRowStride>(weights, part, tile.count, load<M>(y)));
  }
}

// The scales of the positions go into the weights.
template <int M>
void add_int8_columns(const ValueTile& tile, int64_t row, int64_t column) {
  const Whole<F16> scales(tile.page, tile.ahead, scales_offset(tile.width, column), 0);
  _mm_prefetch(scales.ahead, _MM_HINT_T0);
  alignas(64) float weights[M * kPagePositions];
  for (int64_t s = 0; s < tile.count; s += 16) {
    const __m512 scale =
        F16::load(scales.at + (tile.first + s) * F16::kBytes, first_lanes(tile.count - s));
    for (int i = 0; i < M; ++i) {
      const __m512 weight = _mm512_loadu_ps(tile.weights + (row + i) * kRowStride + s);
      _mm512_storeu_ps(weights + i * kPagePositions + s, _mm512_mul_ps(weight, scale));
    }
  }
  float* y = tile.y + row * kRowStride + column;
  const Whole<Int8> values(tile.page, tile.ahead, tile.first * tile.width + column, tile.width);
  store<M>(y, multiply<M, kPagePositions>(weights, values, tile.count, load<M>(y)));
}

template <int M>
struct Height {};

// Calls body(first row, Height<M>) for blocks of M of n rows.
template <class Body>
inline void in_blocks(int64_t n, const Body& body) {
  int64_t row = 0;
  for (; row + 12 <= n; row += 12) body(row, Height<12>());
  if (row + 8 <= n) body(row, Height<8>()), row += 8;
  if (row + 4 <= n) body(row, Height<4>()), row += 4;
  if (row + 3 <= n) return body(row, Height<3>());
  if (row + 2 <= n) return body(row, Height<2>());
  if (row + 1 <= n) body(row, Height<1>());
}

template <class Type>
void score(const KeyTile& tile) {
  in_blocks(tile.num_q, [&]<int M>(int64_t row, Height<M>) { score_rows<M, Type>(tile, row); });
}

template <class Type>
void add(const ValueTile& tile) {
  for (int64_t column = 0; column < tile.width; column += kColumns) {
    in_blocks(tile.num_y,
              [&]<int M>(int64_t row, Height<M>) { add_columns<M, Type>(tile, row, column); });
  }
}

}  // namespace

void score_keys(const KeyTile& tile) {
  if (tile.dtype == DType::kF16) return score<F16>(tile);
  if (tile.dtype == DType::kBF16) return score<BF16>(tile);
  if (tile.dtype == DType::kF32) return score<F32>(tile);
  in_blocks(tile.num_q, [&]<int M>(int64_t row, Height<M>) { score_int8_rows<M>(tile, row); });
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
  const __m512 nothing = _mm512_set1_ps(-__builtin_inff());
  __m512 maxima = nothing;
  for (int64_t s = 0; s < count; s += 16) {
    const __mmask16 lanes = first_lanes(count - s);
    const __m512 score = _mm512_mask_loadu_ps(nothing, lanes, scores + s);
    maxima = _mm512_max_ps(maxima, score);
  }
  const float max = _mm512_reduce_max_ps(maxima);
  maxima = _mm512_set1_ps(max);
  __m512 sums = _mm512_setzero_ps();
  for (int64_t s = 0; s < count; s += 16) {
    const __mmask16 lanes = first_lanes(count - s);
    const __m512 score = _mm512_mask_loadu_ps(nothing, lanes, scores + s);
    const __m512 weight = exp_ps(_mm512_sub_ps(score, maxima));
    _mm512_mask_storeu_ps(scores + s, lanes, weight);
    sums = _mm512_add_ps(sums, weight);
  }
  return {max, _mm512_reduce_add_ps(sums)};
}

void merge(SoftmaxState* into, float* y, const SoftmaxState& from, const float* sums, int64_t n) {
  const float max = into->max < from.max ? from.max : into->max;
  const __m512 old_factors = exp_ps(_mm512_set1_ps(into->max - max));
  const __m512 new_factors = exp_ps(_mm512_set1_ps(from.max - max));
  const float old_sum = into->sum * _mm512_cvtss_f32(old_factors);
  *into = {max, old_sum + from.sum * _mm512_cvtss_f32(new_factors)};
  for (int64_t d = 0; d < n; d += 16) {
    const __mmask16 lanes = first_lanes(n - d);
    const __m512 added = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, sums + d), new_factors);
    const __m512 old = _mm512_maskz_loadu_ps(lanes, y + d);
    _mm512_mask_storeu_ps(y + d, lanes, _mm512_fmadd_ps(old, old_factors, added));
  }
}

}  // namespace hachi::ops::cpu::avx512
