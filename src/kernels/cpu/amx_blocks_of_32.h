// Tiles and types of 32 elements. They have a scale each 32, so a product takes half a tile, and
// its sums leave the tile at once. This gives the integers, and then the roundings, of panel_dot.h.
#pragma once

#include "kernels/cpu/amx_tiles.h"

namespace hachi::ops::cpu::amx {
namespace {

inline constexpr int64_t kBlocksTogether = 8;  // a slab

// The words of some blocks of a panel, with the offset of the type taken off, and the scales.
template <class T>
struct Weights32 {
  alignas(64) std::byte q[kBlocksTogether][8][64];
  Float scales[kBlocksTogether], mins[kBlocksTogether];

  void load(const T& w, int64_t first, int64_t count) {
    constexpr PanelInput kInput = panel_input(T::kType, true);
    const Int offset = _mm512_set1_epi8(kInput.offset);
    for (int64_t b = 0; b < count; ++b) {
      unroll<8>([&](auto i) __attribute__((always_inline)) {
        _mm512_store_si512(q[b][i], _mm512_sub_epi8(w.template word<i>(first + b), offset));
      });
      scales[b] = w.scale(first + b);
      if constexpr (kInput.mins) mins[b] = w.min(first + b);
    }
    finish_stores();
  }
};

template <class T>
inline constexpr PanelInput kInput32 = panel_input(T::kType, false).tiled();

[[gnu::always_inline]] inline void multiply_block(const std::byte* x_q, const std::byte* w_q) {
  _tile_zero(0);
  _tile_loadd(2, x_q, 32);
  _tile_loadd(3, w_q, 64);
  _tile_dpbssd(0, 2, 3);
}

// sums[m] += the products of one block.
template <class T>
[[gnu::always_inline]] inline void add_products(const int32_t* products, const std::byte* x,
                                                Float scale, Float min, Float* sums) {
  unroll<kTokens>([&](auto m) __attribute__((always_inline)) {
    const Float both = Signed::multiply(scale, Signed::broadcast_float(x + m * 4));
    const Int total = _mm512_load_si512(products + m * 16);
    sums[m] = Signed::multiply_add(Signed::to_float(total), both, sums[m]);
    if constexpr (kInput32<T>.mins) {
      const Float sum = Signed::broadcast_float(x + (kTokens + m) * 4);
      sums[m] = Signed::multiply_add(min, sum, sums[m]);
    }
  });
}

// out[m] += `count` blocks, for one group of tokens. While the tile makes the products of a block,
// those of the one before are added up.
template <class T>
void add_blocks_of_32(const Weights32<T>& w, int64_t count, const std::byte* x, float* out) {
  constexpr int64_t kBytes = kInput32<T>.words() * kTokens * 4;
  constexpr int64_t kQ = kInput32<T>.q_at() * kTokens * 4;
  alignas(64) int32_t products[2][kSums];
  Float sums[kTokens];
  unroll<kTokens>([&](auto m)
                      __attribute__((always_inline)) { sums[m] = _mm512_loadu_ps(out + m * 16); });
  multiply_block(x + kQ, w.q[0][0]);
  _tile_stored(0, products[0], 64);
  for (int64_t b = 1; b < count; ++b, x += kBytes) {
    multiply_block(x + kBytes + kQ, w.q[b][0]);
    add_products<T>(products[(b - 1) % 2], x, w.scales[b - 1], w.mins[b - 1], sums);
    _tile_stored(0, products[b % 2], 64);
  }
  add_products<T>(products[(count - 1) % 2], x, w.scales[count - 1], w.mins[count - 1], sums);
  unroll<kTokens>([&](auto m)
                      __attribute__((always_inline)) { _mm512_storeu_ps(out + m * 16, sums[m]); });
}

template <class T>
void dot_types_of_32(const PanelTile& tile) {
  const Slabs slabs(tile, kInput32<T>);
  Weights32<T> weights[kPanelsInCache];
  for (int64_t u = 0; u < slabs.count(); ++u) {
    const int64_t count = slabs.elements_of(u) / 32;
    for (int64_t p = 0; p < tile.count; p += kPanelsInCache) {
      const int64_t panels = p + kPanelsInCache <= tile.count ? kPanelsInCache : tile.count - p;
      for (int64_t i = 0; i < panels; ++i) {
        weights[i].load(T(tile.panels + (p + i) * tile.panel_bytes, 0), u * kBlocksTogether, count);
      }
      for (int64_t g = 0; g < tile.groups; ++g) {
        for (int64_t i = 0; i < panels; ++i) {
          add_blocks_of_32<T>(weights[i], count, slabs.group(u, g),
                              tile.out + ((p + i) * tile.groups + g) * kSums);
        }
      }
    }
  }
}

}  // namespace
}  // namespace hachi::ops::cpu::amx
