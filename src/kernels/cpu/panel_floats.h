// Panels of plain types, multiplied in f32. Only the panel_*.cc files of an instruction set include
// this; V is theirs (see panel_dot_avx512.cc).
//
// A sum adds its products in the order of elements, kRun of them at a time, and the runs' sums in
// their order: the same for every V that has a fused multiply-add, and for any M.
#pragma once

#include <algorithm>

#include "kernels/cpu/inner_loops.h"
#include "kernels/cpu/unroll.h"

namespace hachi::ops::cpu {
namespace {

inline constexpr int64_t kRun = 256;

// How kStep elements of V::kRows rows lie in memory, kBytes for all rows of a panel.
template <class V>
struct WordsF32 {
  static constexpr int kStep = 1, kBytes = 64, kRowBytes = 4;
  template <int kElement>
  static typename V::Float load(const std::byte* p) {
    return V::load_floats(p);
  }
};

template <class V>
struct WordsF16 {
  static constexpr int kStep = 1, kBytes = 32, kRowBytes = 2;
  template <int kElement>
  static typename V::Float load(const std::byte* p) {
    return V::load_halves(p);
  }
};

template <class V>
struct WordsBF16 {
  static constexpr int kStep = 2, kBytes = 64, kRowBytes = 4;
  template <int kElement>
  static typename V::Float load(const std::byte* p) {
    const auto pair = V::load(p);
    return V::as_float(kElement == 0 ? V::template shift_left<16>(pair)
                                     : V::and_words(pair, static_cast<int>(0xffff0000)));
  }
};

// M tokens with N vectors of rows. The first rows of vector n lie at w[n].
template <class V, template <class> class T, int M, int N>
[[gnu::always_inline]] inline void add_run(const std::byte* const* w, const std::byte* x,
                                           int64_t steps, typename V::Float* sums) {
  using Type = T<V>;
  const std::byte* at[N];
  unroll<N>([&](auto n) __attribute__((always_inline)) { at[n] = w[n]; });
  for (int64_t s = 0; s < steps; ++s) {
    unroll<Type::kStep>([&](auto e) __attribute__((always_inline)) {
      typename V::Float weights[N];
      unroll<N>([&](auto n)
                    __attribute__((always_inline)) { weights[n] = Type::template load<e>(at[n]); });
      unroll<M>([&](auto m) __attribute__((always_inline)) {
        const auto value = V::broadcast_float(x + (e * M + m) * 4);
        unroll<N>([&](auto n) __attribute__((always_inline)) {
          sums[m * N + n] = V::multiply_add(weights[n], value, sums[m * N + n]);
        });
      });
    });
    unroll<N>([&](auto n) __attribute__((always_inline)) { at[n] += Type::kBytes; });
    x += Type::kStep * M * 4;
  }
}

template <class V, template <class> class T, int M, int N>
void dot_vectors(const PanelTile& tile, int64_t first_vector) {
  using Type = T<V>;
  constexpr int kVectors = kPanelRows / V::kRows;  // of a panel
  typename V::Float totals[M * N];
  unroll<M * N>([&](auto i) __attribute__((always_inline)) { totals[i] = V::zero_float(); });
  for (int64_t k = 0; k < tile.columns; k += kRun) {
    const int64_t steps = std::min(kRun, tile.columns - k) / Type::kStep;
    const std::byte* w[N];
    unroll<N>([&](auto n) __attribute__((always_inline)) {
      const int64_t vector = first_vector + n;
      w[n] = tile.panels + vector / kVectors * tile.panel_bytes +
             vector % kVectors * V::kRows * Type::kRowBytes + k / Type::kStep * Type::kBytes;
    });
    typename V::Float sums[M * N];
    unroll<M * N>([&](auto i) __attribute__((always_inline)) { sums[i] = V::zero_float(); });
    add_run<V, T, M, N>(w, tile.x + k * M * 4, steps, sums);
    unroll<M * N>([&](auto i)
                      __attribute__((always_inline)) { totals[i] = V::add(totals[i], sums[i]); });
  }
  unroll<N>([&](auto n) __attribute__((always_inline)) {
    const int64_t vector = first_vector + n;
    float* out = tile.out + vector / kVectors * M * kPanelRows + vector % kVectors * V::kRows;
    unroll<M>([&](auto m) __attribute__((always_inline)) {
      V::store(out + m * kPanelRows, totals[m * N + n]);
    });
  });
}

// N vectors at a time, so that enough sums are under way to hide the latency of the multiply-add.
template <class V, template <class> class T, int M, int N>
void dot_floats_of(const PanelTile& tile) {
  const int64_t vectors = tile.count * (kPanelRows / V::kRows);
  int64_t v = 0;
  for (; v + N <= vectors; v += N) dot_vectors<V, T, M, N>(tile, v);
  for (; v < vectors; ++v) dot_vectors<V, T, M, 1>(tile, v);
}

template <class V, template <class> class T>
void dot_floats(const PanelTile& tile) {
  switch (tile.tokens) {
    case 1:
      return dot_floats_of<V, T, 1, 4>(tile);
    case 2:
      return dot_floats_of<V, T, 2, 4>(tile);
    default:
      break;
  }
  if constexpr (V::kMaxTokens >= 4) {
    if (tile.tokens == 4) return dot_floats_of<V, T, 4, 2>(tile);
  }
  if constexpr (V::kMaxTokens >= 8) {
    if (tile.tokens == 8) return dot_floats_of<V, T, 8, 2>(tile);
    if (tile.tokens == 12) return dot_floats_of<V, T, 12, 2>(tile);
  }
}

}  // namespace
}  // namespace hachi::ops::cpu
