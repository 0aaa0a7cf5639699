// Tiles and BF16: x is rounded to bf16, the products are summed in f32 inside the tile, pairs of
// elements from the first to the last.
#pragma once

#include "kernels/cpu/amx_tiles.h"

namespace hachi::ops::cpu::amx {
namespace {

inline constexpr int64_t kStepElements = 32;  // of a product

// out += `steps` products of one group with one or two panels. x is followed by the tokens of the
// next group, which are fetched.
template <bool kTwo>
void add_steps(const std::byte* x, const std::byte* first, const std::byte* second, int64_t steps,
               float* out, float* second_out) {
  _tile_loadd(0, out, 64);
  if constexpr (kTwo) _tile_loadd(1, second_out, 64);
  for (int64_t k = 0; k < steps; ++k) {
    _tile_loadd(2, x + k * kTile, 64);
    fetch(x + (steps + k) * kTile, kTile);
    _tile_loadd(3, first + k * kTile, 64);
    _tile_dpbf16ps(0, 2, 3);
    if constexpr (kTwo) {
      _tile_loadd(3, second + k * kTile, 64);
      _tile_dpbf16ps(1, 2, 3);
    }
  }
  _tile_stored(0, out, 64);
  if constexpr (kTwo) _tile_stored(1, second_out, 64);
}

// One group, which may have fewer tokens: each panel is read once, from memory.
inline void dot_one_group(const PanelTile& tile) {
  constexpr int64_t kAhead = 8192;
  for (int64_t p = 0; p < tile.count; ++p) {
    const std::byte* panel = tile.panels + p * tile.panel_bytes;
    _tile_zero(0);
    for (int64_t k = 0; k < tile.columns / kStepElements; ++k) {
      fetch(panel + k * kTile + kAhead, kTile);
      _tile_loadd(2, tile.x + k * kTile, 64);
      _tile_loadd(3, panel + k * kTile, 64);
      _tile_dpbf16ps(0, 2, 3);
    }
    _tile_stored(0, tile.out + p * tile.tokens * 16, 64);
  }
}

inline void dot_groups(const PanelTile& tile) {
  const Slabs slabs(tile, rounded_input());
  clear(tile);
  for (int64_t u = 0; u < slabs.count(); ++u) {
    const int64_t steps = slabs.elements_of(u) / kStepElements;
    for (int64_t p = 0; p < tile.count; p += 2) {
      const std::byte* panel = tile.panels + p * tile.panel_bytes + u * 256 / kStepElements * kTile;
      float* out = tile.out + p * tile.groups * kSums;
      for (int64_t g = 0; g < tile.groups; ++g, out += kSums) {
        if (p + 1 < tile.count) {
          add_steps<true>(slabs.group(u, g), panel, panel + tile.panel_bytes, steps, out,
                          out + tile.groups * kSums);
        } else {
          add_steps<false>(slabs.group(u, g), panel, nullptr, steps, out, nullptr);
        }
      }
    }
  }
}

}  // namespace
}  // namespace hachi::ops::cpu::amx
