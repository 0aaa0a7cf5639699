// The loops over a panel, written once for all instruction sets. Only the panel_*.cc files of an
// instruction set include this; V is theirs (see panel_dot_avx512.cc).
//
// Sixteen dot products stand in the lanes of vectors, for M tokens each, so nothing is summed
// across lanes. A block's products are summed as integers, exactly, and enter the f32 sum with one
// fused multiply-add, block after block: every instruction set that has one gives the same bits,
// for any M.
#pragma once

#include <utility>

#include "kernels/cpu/inner_loops.h"
#include "kernels/cpu/panel_floats.h"
#include "kernels/cpu/panel_types.h"
#include "kernels/cpu/unroll.h"

namespace hachi::ops::cpu {
namespace {

// The words of an input block (panel_input.h) of kStride tokens, from one of them on.
template <int kStride>
struct InputBlock {
  const std::byte* data;
  const std::byte* word(int index, int token) const { return data + (index * kStride + token) * 4; }
};

// What a loop asks the memory for on its way through a panel: what it comes to soon itself,
struct FetchAhead {
  template <int kPart, int kParts, class T>
  [[gnu::always_inline]] void fetch(const T& panel, int64_t block) const {
    if constexpr (kFetchesPanels) panel.template prefetch<kPart, kParts>(block);
  }
};

// or, where kCount loops go over the same panels in turn, its share of the panels that come next,
// `bytes` behind.
template <int kIndex, int kCount>
struct FetchShare {
  int64_t bytes;
  template <int kPart, int kParts, class T>
  [[gnu::always_inline]] void fetch(const T& panel, int64_t block) const {
    if constexpr (kFetchesPanels) {
      panel.template prefetch_at<kPart * kCount + kIndex, kParts * kCount>(block, bytes);
    }
  }
};

// What a loop multiplies: M of the kStride tokens of a group with N vectors of rows. With N = 2 a
// broadcast of x serves two products, as loads are what limits them.
template <class V, class T, int M, int kStride, int N, class Fetching>
struct Dot {
  static constexpr PanelInput kInput = panel_input(T::kType, V::kSigned);
  using Int = typename V::Int;
  using Float = typename V::Float;

  T w[N];
  int64_t blocks;
  const std::byte* x;  // of the first of the M tokens
  Float* sums;         // [M][N]
  Fetching fetching;

  // sums += blocks of 32 elements.
  [[gnu::always_inline]] void add_blocks_of_32() const {
    const std::byte* at = x;
    for (int64_t b = 0; b < blocks; ++b, at += kInput.words() * kStride * 4) {
      const InputBlock<kStride> in{at};
      Int words[N][8];
      Float scales[N];
      unroll<N>([&](auto n) __attribute__((always_inline)) {
        if (starts_panel<n>()) fetching.template fetch<0, 1>(w[n], b);
        unroll<8>([&](auto i)
                      __attribute__((always_inline)) { words[n][i] = w[n].template word<i>(b); });
        scales[n] = w[n].scale(b);
      });
      unroll<M>([&](auto m) __attribute__((always_inline)) {
        Int products[N];
        start<kInput.starts_at()>(in, m, products);
        V::template dot<T::kMax, 8, kStride, N>(products, words, in.word(kInput.q_at(), m));
        const Float x_scale = V::broadcast_float(in.word(0, m));
        unroll<N>([&](auto n) __attribute__((always_inline)) {
          Float& sum = sums[m * N + n];
          sum = V::multiply_add(V::to_float(products[n]), V::multiply(scales[n], x_scale), sum);
          if constexpr (kInput.mins) {
            sum = V::multiply_add(w[n].min(b), V::broadcast_float(in.word(1, m)), sum);
          }
        });
      });
    }
  }

  // sums += blocks of 256 elements.
  [[gnu::always_inline]] void add_blocks_of_256() const {
    const std::byte* at = x;
    for (int64_t b = 0; b < blocks; ++b, at += kInput.words() * kStride * 4) {
      const InputBlock<kStride> in{at};
      Int scales[N][kInput.groups()];
      unroll<N>([&](auto n) __attribute__((always_inline)) { w[n].scales(b, scales[n]); });
      Int totals[M * N];
      unroll<M * N>([&](auto i) __attribute__((always_inline)) { totals[i] = V::zero(); });
      unroll<8>([&](auto part)
                    __attribute__((always_inline)) { add_part<part>(b, in, scales, totals); });
      unroll<N>([&](auto n) __attribute__((always_inline)) {
        const Float scale = w[n].scale(b);
        unroll<M>([&](auto m) __attribute__((always_inline)) {
          const Float both = V::multiply(scale, V::broadcast_float(in.word(0, m)));
          Float& sum = sums[m * N + n];
          sum = V::multiply_add(V::to_float(totals[m * N + n]), both, sum);
        });
        if constexpr (kInput.mins) subtract_mins(w[n], b, in, sums + n);
      });
    }
  }

 private:
  // False if the vector before is of the same panel and has fetched its lines.
  template <int kVector>
  static constexpr bool starts_panel() {
    return kVector * V::kRows % kPanelRows == 0;
  }

  // What the products of a block or group start from.
  template <int kWord>
  [[gnu::always_inline]] static void start(const InputBlock<kStride>& in, int m, Int* products) {
    Int from = V::zero();
    if constexpr (kInput.offset != 0) from = V::broadcast(in.word(kWord, m));
    unroll<N>([&](auto n) __attribute__((always_inline)) { products[n] = from; });
  }

  // One eighth of a block of 256 elements: adds its products, times the integer scales.
  template <int kPart>
  [[gnu::always_inline]] void add_part(int64_t b, const InputBlock<kStride>& in,
                                       const Int (*scales)[kInput.groups()], Int* totals) const {
    constexpr int kGroups = 32 / kInput.group;  // in the part
    constexpr int kWords = 8 / kGroups;         // of a group
    unroll<kGroups>([&](auto g) __attribute__((always_inline)) {
      constexpr int kAt = kPart * kGroups + g;
      Int words[N][kWords];
      unroll<N>([&](auto n) __attribute__((always_inline)) {
        if (g == 0 && starts_panel<n>()) fetching.template fetch<kPart, 8>(w[n], b);
        unroll<kWords>([&](auto i) __attribute__((always_inline)) {
          words[n][i] = w[n].template word<kPart, g * kWords + i>(b);
        });
      });
      unroll<M>([&](auto m) __attribute__((always_inline)) {
        Int products[N];
        start<kInput.starts_at() + kAt>(in, m, products);
        V::template dot<T::kMax, kWords, kStride, N>(products, words,
                                                     in.word(kInput.q_at() + kAt * kWords, m));
        unroll<N>([&](auto n) __attribute__((always_inline)) {
          Int& total = totals[m * N + n];
          total = V::add(total, V::multiply(products[n], scales[n][kAt]));
        });
      });
    });
  }

  // out[m * N] -= the mins of a block times the sums of x.
  [[gnu::always_inline]] static void subtract_mins(const T& panel, int64_t b,
                                                   const InputBlock<kStride>& in, Float* out) {
    Int mins[kInput.sum_words()];
    panel.mins(b, mins);
    const Float min_scale = panel.min_scale(b);
    unroll<M>([&](auto m) __attribute__((always_inline)) {
      Int total = V::zero();
      unroll<kInput.sum_words()>([&](auto i) __attribute__((always_inline)) {
        total = V::add_pairs(total, mins[i], V::broadcast(in.word(kInput.sums_at() + i, m)));
      });
      const Float both = V::multiply(min_scale, V::broadcast_float(in.word(0, m)));
      out[m * N] = V::subtract_product(V::to_float(total), both, out[m * N]);
    });
  }
};

// Tokens [first, first + M) of the tile's kStride, with N vectors of rows from `vector` on, counted
// over all panels.
template <class V, template <class> class T, int M, int kStride, int N, class Fetching>
void dot_vectors_of(const PanelTile& tile, int64_t vector, int first, Fetching fetching) {
  using Type = T<V>;
  constexpr int kBlock = panel_input(Type::kType, V::kSigned).block;
  constexpr int kVectors = kPanelRows / V::kRows;  // of a panel
  const auto panel = [&](int n) { return (vector + n) / kVectors; };
  const auto row = [&](int n) { return static_cast<int>((vector + n) % kVectors) * V::kRows; };
  const auto weights = [&](int n) {
    return Type(tile.panels + panel(n) * tile.panel_bytes, row(n));
  };
  typename V::Float sums[M * N];
  unroll<M * N>([&](auto i) __attribute__((always_inline)) { sums[i] = V::zero_float(); });
  const std::byte* x = tile.x + first * 4;
  const int64_t blocks = tile.columns / kBlock;
  const auto run = [&](const auto& dot) __attribute__((always_inline)) {
    if constexpr (kBlock == 32) {
      dot.add_blocks_of_32();
    } else {
      dot.add_blocks_of_256();
    }
  };
  if constexpr (N == 1) {
    run(Dot<V, Type, M, kStride, N, Fetching>{{weights(0)}, blocks, x, sums, fetching});
  } else {
    static_assert(N == 2);
    run(Dot<V, Type, M, kStride, N, Fetching>{{weights(0), weights(1)}, blocks, x, sums, fetching});
  }
  unroll<N>([&](auto n) __attribute__((always_inline)) {
    float* out = tile.out + (panel(n) * kStride + first) * kPanelRows + row(n);
    unroll<M>([&](auto m) __attribute__((always_inline)) {
      V::store(out + m * kPanelRows, sums[m * N + n]);
    });
  });
}

// M tokens, V::kTogether vectors after the other.
template <class V, template <class> class T, int M>
void dot_all_vectors(const PanelTile& tile) {
  static_assert(kPanelRows % (V::kTogether * V::kRows) == 0);
  const int64_t vectors = tile.count * (kPanelRows / V::kRows);
  for (int64_t v = 0; v < vectors; v += V::kTogether) {
    dot_vectors_of<V, T, M, M, V::kTogether>(tile, v, 0, FetchAhead());
  }
}

// N panels, each in one vector, with all tokens: so many at a time as kRuns says.
template <class V, template <class> class T, int N, int... kRuns>
void dot_runs(const PanelTile& tile, int64_t panel) {
  constexpr int kTokens = (kRuns + ...);
  constexpr int kCount = sizeof...(kRuns);
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) {
    int first = 0;
    ((dot_vectors_of<V, T, kRuns, kTokens, N>(tile, panel, first,
                                              FetchShare<kIndex, kCount>{N * tile.panel_bytes}),
      first += kRuns),
     ...);
  }
  (std::make_integer_sequence<int, kCount>());
}

// Two panels at a time.
template <class V, template <class> class T, int... kRuns>
void dot_panel_pairs(const PanelTile& tile) {
  static_assert(V::kRows == kPanelRows);
  int64_t p = 0;
  for (; p + 2 <= tile.count; p += 2) dot_runs<V, T, 2, kRuns...>(tile, p);
  if (p < tile.count) dot_runs<V, T, 1, kRuns...>(tile, p);
}

// Picks the loop for a block type and a number of tokens.
template <class V>
struct DotBlocks {
  const PanelTile& tile;

  template <template <class> class T>
  void visit() const {
    switch (tile.tokens) {
      case 1:
        return dot_all_vectors<V, T, 1>(tile);
      case 2:
        return dot_all_vectors<V, T, 2>(tile);
      default:
        break;
    }
    if constexpr (V::kMaxTokens >= 4) {
      if (tile.tokens == 4) return dot_all_vectors<V, T, 4>(tile);
    }
    if constexpr (V::kMaxTokens >= 8) {
      if (tile.tokens == 8) return dot_all_vectors<V, T, 8>(tile);
      if (tile.tokens == 12) return dot_panel_pairs<V, T, 6, 6>(tile);
      if (tile.tokens == 16) return dot_panel_pairs<V, T, 6, 5, 5>(tile);
    }
  }
};

// InnerLoops::dot_panels for the instruction set V.
template <class V>
void dot_panels_with(const PanelTile& tile) {
  switch (tile.dtype) {
    case DType::kF32:
      return dot_floats<V, WordsF32>(tile);
    case DType::kF16:
      return dot_floats<V, WordsF16>(tile);
    case DType::kBF16:
      return dot_floats<V, WordsBF16>(tile);
    default:
      visit_block_type(tile.dtype, DotBlocks<V>{tile});
  }
}

}  // namespace
}  // namespace hachi::ops::cpu
