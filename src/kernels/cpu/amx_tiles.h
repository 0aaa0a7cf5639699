// What the products with tiles share. AMX multiplies up to 16 rows of 64 bytes (tokens) with 16
// rows of 64 bytes (four bytes of each of a panel's 16 rows) into 16 x 16 sums in one instruction,
// for 16 cycles.
//
// Only four of the eight tile registers are used. Two hardware threads share what holds them: while
// the other one runs, a load to a tile waits until a register is free, and with all eight in use
// every load waits for the last one to end. With four in use there are free ones at all times.
// docs/kernels.md has the times. Only files compiled for AMX include this.
#pragma once

#include "kernels/cpu/amx.h"
#include "kernels/cpu/panel_types.h"
#include "kernels/cpu/vnni_avx512.h"

namespace hachi::ops::cpu::amx {
namespace {

inline constexpr int kTokens = 16;
inline constexpr int64_t kSums = kTokens * 16;  // of a group with a panel
inline constexpr int64_t kTile = 1024;          // bytes of a full tile

// The registers: 0 and 1 hold sums, 2 tokens, 3 weights. (The instructions take plain numbers.)

// As avx512::Vnni, but bytes keep their sign.
struct Signed : avx512::Vnni {
  static constexpr bool kSigned = true;
  static Int from_signed(Int v) { return v; }
};
using Int = Signed::Int;
using Float = Signed::Float;

// The shapes of the eight tile registers; see Intel's manual, LDTILECFG.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// `depth`: bytes of a token that a product takes.
inline void configure(int tokens, int depth) {
  TileShapes shapes;
  const auto set = [&shapes](int tile, int rows, int bytes) {
    shapes.rows[tile] = static_cast<uint8_t>(rows);
    shapes.row_bytes[tile] = static_cast<uint16_t>(bytes);
  };
  set(0, tokens, 64);
  set(1, tokens, 64);
  set(2, tokens, depth);
  set(3, depth / 4, 64);
  // The compiler knows only of the first bytes that the instruction reads.
  __asm__ volatile("" : : "r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
}

// The compiler does not know that tiles are loaded from memory that was just written.
[[gnu::always_inline]] inline void finish_stores() { __asm__ volatile("" ::: "memory"); }

// Asks for bytes that will be read soon. Not by the compiler's own prefetch: GCC 12 takes a
// function that does no more for one without effect, and drops it.
[[gnu::always_inline]] inline void fetch(const std::byte* data, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __asm__ volatile("prefetcht0 %0" : : "m"(data[i]));
}

// The slabs of x (panel_input.h): 256 elements of all groups, the last one maybe less.
struct Slabs {
  const PanelTile& tile;
  int64_t bytes;  // of a group of a whole slab

  Slabs(const PanelTile& t, const PanelInput& format)
      : tile(t), bytes(256 / format.block * format.words() * kTokens * 4) {}
  int64_t count() const { return (tile.columns + 255) / 256; }
  int64_t elements_of(int64_t u) const {
    return tile.columns - u * 256 < 256 ? tile.columns - u * 256 : 256;
  }
  const std::byte* group(int64_t u, int64_t g) const {
    return tile.x + u * tile.x_groups * bytes +
           (tile.first_group + g) * (bytes * elements_of(u) / 256);
  }
};

inline constexpr int64_t kPanelsInCache = 2;  // the first one, with their tokens and sums

// Sets all sums of full groups to zero.
inline void clear(const PanelTile& tile) {
  const int64_t sums = tile.count * tile.groups * kSums;
  for (int64_t i = 0; i < sums; i += 16) _mm512_storeu_ps(tile.out + i, Signed::zero_float());
  finish_stores();
}

}  // namespace
}  // namespace hachi::ops::cpu::amx
