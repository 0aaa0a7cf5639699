// Tiles and types of 256 elements. The integer scales go into the weights first: scale times weight
// has at most 13 bits, which two products of bytes, of its low seven bits and the rest, add up to
// exactly. So the sums leave the tiles only once a block. This gives the integers, and then the
// roundings, of panel_dot.h.
#pragma once

#include "kernels/cpu/amx_tiles.h"

namespace hachi::ops::cpu::amx {
namespace {

// One block of a panel: scale times weight, its low seven bits and the rest, as four tiles each.
template <class T>
struct Weights256 {
  static constexpr PanelInput kInput = panel_input(T::kType, false);
  alignas(64) std::byte low[64][64];
  alignas(64) std::byte high[64][64];
  Int mins[8];
  Float scale, min_scale;

  void load(const T& w, int64_t b) {
    Int scales[kInput.groups()];
    w.scales(b, scales);
    unroll<8>([&](auto part) __attribute__((always_inline)) {
      unroll<8>([&](auto i) __attribute__((always_inline)) {
        constexpr int kAt = part * 8 + i;
        store_digits(w.template word<part, i>(b), scales[kAt * 4 / kInput.group], kAt);
      });
    });
    scale = w.scale(b);
    if constexpr (kInput.mins) {
      w.mins(b, mins);
      min_scale = w.min_scale(b);
    }
    finish_stores();
  }

 private:
  // Even and odd bytes apart, in 16 bits.
  void store_digits(Int q, Int word_scale, int at) {
    constexpr int kOffset = panel_input(T::kType, true).offset;
    const Int scale16 = _mm512_or_si512(_mm512_slli_epi32(word_scale, 16),
                                        _mm512_and_si512(word_scale, _mm512_set1_epi32(0xffff)));
    Int even = _mm512_srai_epi16(_mm512_slli_epi16(q, 8), 8);
    Int odd = _mm512_srai_epi16(q, 8);
    if constexpr (kOffset != 0) {
      even = _mm512_sub_epi16(even, _mm512_set1_epi16(kOffset));
      odd = _mm512_sub_epi16(odd, _mm512_set1_epi16(kOffset));
    }
    even = _mm512_mullo_epi16(even, scale16);
    odd = _mm512_mullo_epi16(odd, scale16);
    const Int seven = _mm512_set1_epi16(0x7f), byte = _mm512_set1_epi16(0xff);
    _mm512_store_si512(low[at],
                       _mm512_or_si512(_mm512_and_si512(even, seven),
                                       _mm512_slli_epi16(_mm512_and_si512(odd, seven), 8)));
    _mm512_store_si512(high[at], _mm512_or_si512(_mm512_and_si512(_mm512_srai_epi16(even, 7), byte),
                                                 _mm512_slli_epi16(_mm512_srai_epi16(odd, 7), 8)));
  }
};

template <class T>
constexpr PanelInput kInput256 = panel_input(T::kType, false).tiled();

// The products of a block of a panel with a group of tokens: of low bits, then of the rest.
template <class T>
[[gnu::always_inline]] inline void multiply(const Weights256<T>& w, const std::byte* x,
                                            int32_t* products) {
  const std::byte* q = x + kInput256<T>.q_at() * kTokens * 4;
  _tile_zero(0);
  _tile_zero(1);
  for (int64_t k = 0; k < 4; ++k) {
    _tile_loadd(2, q + k * kTile, 64);
    _tile_loadd(3, w.low[16 * k], 64);
    _tile_dpbssd(0, 2, 3);
    _tile_loadd(3, w.high[16 * k], 64);
    _tile_dpbssd(1, 2, 3);
  }
  _tile_stored(0, products, 64);
  _tile_stored(1, products + kSums, 64);
}

// sums += the products, scaled.
template <class T>
[[gnu::always_inline]] inline void add_products(const Weights256<T>& w, const int32_t* products,
                                                const std::byte* x, float* sums) {
  constexpr PanelInput kInput = kInput256<T>;
  unroll<kTokens>([&](auto m) __attribute__((always_inline)) {
    const Int low = _mm512_load_si512(products + m * 16);
    const Int high = _mm512_load_si512(products + kSums + m * 16);
    const Int total = _mm512_add_epi32(low, _mm512_slli_epi32(high, 7));
    const Float x_scale = Signed::broadcast_float(x + m * 4);
    Float sum = _mm512_loadu_ps(sums + m * 16);
    sum = Signed::multiply_add(Signed::to_float(total), Signed::multiply(w.scale, x_scale), sum);
    if constexpr (kInput.mins) {
      Int mins = Signed::zero();
      unroll<kInput.sum_words()>([&](auto i) __attribute__((always_inline)) {
        const std::byte* pair = x + ((kInput.sums_at() + i) * kTokens + m) * 4;
        mins = Signed::add_pairs(mins, w.mins[i], Signed::broadcast(pair));
      });
      const Float both = Signed::multiply(w.min_scale, x_scale);
      sum = Signed::subtract_product(Signed::to_float(mins), both, sum);
    }
    _mm512_storeu_ps(sums + m * 16, sum);
  });
}

// All groups of tokens with one block of some panels.
template <class T>
void add_block_of_256(const Weights256<T>* weights, int64_t panels, const Slabs& slabs, int64_t b,
                      float* out) {
  const int64_t groups = slabs.tile.groups;
  alignas(64) int32_t products[2 * kSums];
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t p = 0; p < panels; ++p) {
      float* sums = out + (p * groups + g) * kSums;
      multiply<T>(weights[p], slabs.group(b, g), products);
      add_products<T>(weights[p], products, slabs.group(b, g), sums);
    }
  }
}

template <class T>
void dot_types_of_256(const PanelTile& tile) {
  const Slabs slabs(tile, kInput256<T>);
  Weights256<T> weights[kPanelsInCache];
  for (int64_t b = 0; b < slabs.count(); ++b) {
    for (int64_t p = 0; p < tile.count; p += kPanelsInCache) {
      const int64_t panels = p + kPanelsInCache <= tile.count ? kPanelsInCache : tile.count - p;
      for (int64_t i = 0; i < panels; ++i) {
        weights[i].load(T(tile.panels + (p + i) * tile.panel_bytes, 0), b);
      }
      add_block_of_256<T>(weights, panels, slabs, b, tile.out + p * tile.groups * kSums);
    }
  }
}

}  // namespace
}  // namespace hachi::ops::cpu::amx
