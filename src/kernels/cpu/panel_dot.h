// The loops over a panel, written once for all instruction sets. Only the panel_*.cc files of an
// instruction set include this; V is theirs (see panel_dot_avx512.cc).
//
// Sixteen dot products stand in the lanes of vectors, for M tokens each, so nothing is summed
// across lanes. A block's products are summed as integers, exactly, and enter the f32 sum with one
// fused multiply-add, block after block: every instruction set that has one gives the same bits,
// for any M.
#pragma once

#include "kernels/cpu/inner_loops.h"
#include "kernels/cpu/panel_floats.h"
#include "kernels/cpu/panel_types.h"
#include "kernels/cpu/unroll.h"

namespace hachi::ops::cpu {
namespace {

// The words of an input block (panel_input.h) of M tokens.
template <int M>
struct InputBlock {
  const std::byte* data;
  const std::byte* word(int index, int token) const { return data + (index * M + token) * 4; }
};

// out[m][lane] for one vector of rows of a type of 32 elements.
template <class V, class T, int M>
[[gnu::always_inline]] inline void dot_blocks_of_32(const T& w, int64_t blocks, const std::byte* x,
                                                    typename V::Float* sums) {
  constexpr PanelInput kInput = panel_input(T::kType, V::kSigned);
  for (int64_t b = 0; b < blocks; ++b, x += kInput.words() * M * 4) {
    const InputBlock<M> in{x};
    typename V::Int words[8];
    if (M == 1) w.template prefetch<0, 1>(b);
    unroll<8>([&](auto i) __attribute__((always_inline)) { words[i] = w.template word<i>(b); });
    const auto scale = w.scale(b);
    unroll<M>([&](auto m) __attribute__((always_inline)) {
      auto start = V::zero();
      if constexpr (kInput.offset != 0) start = V::broadcast(in.word(kInput.starts_at(), m));
      const auto products = V::template dot<T::kMax, 8, M>(start, words, in.word(kInput.q_at(), m));
      const auto both = V::multiply(scale, V::broadcast_float(in.word(0, m)));
      sums[m] = V::multiply_add(V::to_float(products), both, sums[m]);
      if constexpr (kInput.mins) {
        sums[m] = V::multiply_add(w.min(b), V::broadcast_float(in.word(1, m)), sums[m]);
      }
    });
  }
}

// One eighth of a block of 256 elements: adds its products, times the integer scales.
template <class V, class T, int M, int kPart>
[[gnu::always_inline]] inline void add_part(const T& w, int64_t b, const InputBlock<M>& in,
                                            const typename V::Int* scales,
                                            typename V::Int* totals) {
  constexpr PanelInput kInput = panel_input(T::kType, V::kSigned);
  constexpr int kGroups = 32 / kInput.group;  // in the part
  constexpr int kWords = 8 / kGroups;         // of a group
  unroll<kGroups>([&](auto g) __attribute__((always_inline)) {
    constexpr int kAt = kPart * kGroups + g;
    typename V::Int words[kWords];
    unroll<kWords>([&](auto i) __attribute__((always_inline)) {
      words[i] = w.template word<kPart, g * kWords + i>(b);
    });
    unroll<M>([&](auto m) __attribute__((always_inline)) {
      auto start = V::zero();
      if constexpr (kInput.offset != 0) start = V::broadcast(in.word(kInput.starts_at() + kAt, m));
      const auto products = V::template dot<T::kMax, kWords, M>(
          start, words, in.word(kInput.q_at() + kAt * kWords, m));
      totals[m] = V::add(totals[m], V::multiply(products, scales[kAt]));
    });
  });
}

template <class V, class T, int M>
[[gnu::always_inline]] inline void dot_blocks_of_256(const T& w, int64_t blocks, const std::byte* x,
                                                     typename V::Float* sums) {
  constexpr PanelInput kInput = panel_input(T::kType, V::kSigned);
  for (int64_t b = 0; b < blocks; ++b, x += kInput.words() * M * 4) {
    const InputBlock<M> in{x};
    typename V::Int scales[kInput.groups()];
    w.scales(b, scales);
    typename V::Int totals[M];
    unroll<M>([&](auto m) __attribute__((always_inline)) { totals[m] = V::zero(); });
    unroll<8>([&](auto part) __attribute__((always_inline)) {
      if (M == 1) w.template prefetch<part, 8>(b);
      add_part<V, T, M, part>(w, b, in, scales, totals);
    });
    const auto scale = w.scale(b);
    unroll<M>([&](auto m) __attribute__((always_inline)) {
      const auto both = V::multiply(scale, V::broadcast_float(in.word(0, m)));
      sums[m] = V::multiply_add(V::to_float(totals[m]), both, sums[m]);
    });
    if constexpr (kInput.mins) {
      typename V::Int mins[kInput.sum_words()];
      w.mins(b, mins);
      const auto min_scale = w.min_scale(b);
      unroll<M>([&](auto m) __attribute__((always_inline)) {
        auto total = V::zero();
        unroll<kInput.sum_words()>([&](auto i) __attribute__((always_inline)) {
          total = V::add_pairs(total, mins[i], V::broadcast(in.word(kInput.sums_at() + i, m)));
        });
        const auto both = V::multiply(min_scale, V::broadcast_float(in.word(0, m)));
        sums[m] = V::subtract_product(V::to_float(total), both, sums[m]);
      });
    }
  }
}

// M tokens with `count` panels of a block type.
template <class V, template <class> class T, int M>
void dot_panels_of(const PanelTile& tile) {
  using Type = T<V>;
  constexpr int kBlock = panel_input(Type::kType, V::kSigned).block;
  const int64_t blocks = tile.columns / kBlock;
  for (int64_t p = 0; p < tile.count; ++p) {
    const std::byte* panel = tile.panels + p * tile.panel_bytes;
    for (int first = 0; first < kPanelRows; first += V::kRows) {
      const Type w(panel, first);
      typename V::Float sums[M];
      unroll<M>([&](auto m) __attribute__((always_inline)) { sums[m] = V::zero_float(); });
      if constexpr (kBlock == 32) {
        dot_blocks_of_32<V, Type, M>(w, blocks, tile.x, sums);
      } else {
        dot_blocks_of_256<V, Type, M>(w, blocks, tile.x, sums);
      }
      float* out = tile.out + p * M * kPanelRows + first;
      unroll<M>([&](auto m)
                    __attribute__((always_inline)) { V::store(out + m * kPanelRows, sums[m]); });
    }
  }
}

// Picks the loop for a block type and a number of tokens.
template <class V>
struct DotBlocks {
  const PanelTile& tile;

  template <template <class> class T>
  void visit() const {
    switch (tile.tokens) {
      case 1:
        return dot_panels_of<V, T, 1>(tile);
      case 2:
        return dot_panels_of<V, T, 2>(tile);
      default:
        break;
    }
    if constexpr (V::kMaxTokens >= 4) {
      if (tile.tokens == 4) return dot_panels_of<V, T, 4>(tile);
    }
    if constexpr (V::kMaxTokens >= 8) {
      if (tile.tokens == 8) return dot_panels_of<V, T, 8>(tile);
      if (tile.tokens == 12) return dot_panels_of<V, T, 12>(tile);
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
