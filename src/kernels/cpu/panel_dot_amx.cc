// Panels and tiles: AMX multiplies 16 rows of 64 bytes (tokens) with 16 rows of 64 bytes (four
// elements of each of a panel's 16 rows) into 16 x 16 sums in one instruction, for 16 cycles.
//
// Types of 32 elements have a scale each 32, so a product takes half a tile and its sums leave the
// tile at once. In types of 256 elements the integer scales go into the weights first: scale times
// weight has at most 13 bits, which two products of bytes, of its low seven bits and the rest, add
// up to exactly. So the sums leave the tile only once a block. Both give the integers, and then the
// roundings, of panel_dot.h.
#include <algorithm>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/panel_types.h"
#include "kernels/cpu/vnni_avx512.h"

namespace hachi::ops::cpu::amx {
namespace {

constexpr int kTokens = 16;
constexpr int64_t kTile = 1024;  // bytes of a full tile

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

// Sums in tiles 0..3, tokens in 4 and 5, weights in 6 and 7. `depth`: bytes of a token that a
// product takes, 32 or 64.
void configure(int depth) {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) {
    shapes.rows[i] = i < 6 ? 16 : static_cast<uint8_t>(depth / 4);
    shapes.row_bytes[i] = i == 4 || i == 5 ? static_cast<uint16_t>(depth) : 64;
  }
  _tile_loadconfig(&shapes);
}

// The compiler does not know that tiles are loaded from memory that was just written.
[[gnu::always_inline]] inline void finish_stores() { __asm__ volatile("" ::: "memory"); }

// ---- Types of 32 elements.

// The words of a block, with the offset of the type taken off, and the scales.
template <class T>
struct Weights32 {
  static constexpr int kBlocks = 8;  // at a time: 256 elements
  alignas(64) std::byte q[kBlocks][8][64];
  Float scales[kBlocks], mins[kBlocks];

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

// sums[m] += the products of one block, which lie in `products`.
template <class T>
[[gnu::always_inline]] inline void add_block_of_32(const int32_t* products, const std::byte* x,
                                                   Float scale, Float min, Float* sums) {
  unroll<kTokens>([&](auto m) __attribute__((always_inline)) {
    const Float both = Signed::multiply(scale, Signed::broadcast_float(x + m * 4));
    const Int total = _mm512_load_si512(products + m * 16);
    sums[m] = Signed::multiply_add(Signed::to_float(total), both, sums[m]);
    if constexpr (panel_input(T::kType, true).mins) {
      const Float sum = Signed::broadcast_float(x + (kTokens + m) * 4);
      sums[m] = Signed::multiply_add(min, sum, sums[m]);
    }
  });
}

// out[m] += `count` blocks, for one group of tokens. Two blocks are under way at a time.
template <class T>
void add_blocks_of_32(const Weights32<T>& w, int64_t count, const std::byte* x, float* out) {
  constexpr PanelInput kInput = panel_input(T::kType, false).tiled();
  constexpr int64_t kBytes = kInput.words() * kTokens * 4;
  constexpr int64_t kQ = kInput.q_at() * kTokens * 4;
  alignas(64) int32_t products[2][kTokens * 16];
  Float sums[kTokens];
  unroll<kTokens>([&](auto m)
                      __attribute__((always_inline)) { sums[m] = _mm512_loadu_ps(out + m * 16); });
  int64_t b = 0;
  for (; b + 2 <= count; b += 2, x += 2 * kBytes) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_loadd(4, x + kQ, 32);
    _tile_loadd(6, w.q[b], 64);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(5, x + kBytes + kQ, 32);
    _tile_loadd(7, w.q[b + 1], 64);
    _tile_dpbssd(1, 5, 7);
    _tile_stored(0, products[0], 64);
    _tile_stored(1, products[1], 64);
    add_block_of_32<T>(products[0], x, w.scales[b], w.mins[b], sums);
    add_block_of_32<T>(products[1], x + kBytes, w.scales[b + 1], w.mins[b + 1], sums);
  }
  if (b < count) {
    _tile_zero(0);
    _tile_loadd(4, x + kQ, 32);
    _tile_loadd(6, w.q[b], 64);
    _tile_dpbssd(0, 4, 6);
    _tile_stored(0, products[0], 64);
    add_block_of_32<T>(products[0], x, w.scales[b], w.mins[b], sums);
  }
  unroll<kTokens>([&](auto m)
                      __attribute__((always_inline)) { _mm512_storeu_ps(out + m * 16, sums[m]); });
}

template <class T>
void dot_types_of_32(const PanelTile& tile) {
  constexpr PanelInput kInput = panel_input(T::kType, false).tiled();
  constexpr int64_t kBytes = kInput.words() * kTokens * 4;
  const int64_t blocks = tile.columns / 32;
  Weights32<T> weights;
  for (int64_t p = 0; p < tile.count; ++p) {
    const T w(tile.panels + p * tile.panel_bytes, 0);
    float* out = tile.out + p * tile.groups * kTokens * 16;
    for (int64_t b = 0; b < blocks; b += Weights32<T>::kBlocks) {
      const int64_t count = std::min<int64_t>(Weights32<T>::kBlocks, blocks - b);
      weights.load(w, b, count);
      for (int64_t g = 0; g < tile.groups; ++g) {
        const std::byte* x = tile.x + (g * blocks + b) * kBytes;
        add_blocks_of_32<T>(weights, count, x, out + g * kTokens * 16);
      }
    }
  }
}

// ---- Types of 256 elements.

// Scale times weight, its low seven bits and the rest, as four tiles each.
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

// out[m] += one block, of one group of tokens.
template <class T>
[[gnu::always_inline]] inline void add_block_of_256(const Weights256<T>& w, const int32_t* low,
                                                    const int32_t* high, const std::byte* x,
                                                    float* out) {
  constexpr PanelInput kInput = panel_input(T::kType, false).tiled();
  unroll<kTokens>([&](auto m) __attribute__((always_inline)) {
    const Int total = _mm512_add_epi32(_mm512_load_si512(low + m * 16),
                                       _mm512_slli_epi32(_mm512_load_si512(high + m * 16), 7));
    const Float x_scale = Signed::broadcast_float(x + m * 4);
    Float sum = _mm512_loadu_ps(out + m * 16);
    sum = Signed::multiply_add(Signed::to_float(total), Signed::multiply(w.scale, x_scale), sum);
    if constexpr (kInput.mins) {
      Int mins = Signed::zero();
      unroll<kInput.sum_words()>([&](auto i) __attribute__((always_inline)) {
        const std::byte* pair = x + ((kInput.sums_at() + i) * kTokens + m) * 4;
        mins = Signed::add_pairs(mins, w.mins[i], Signed::broadcast(pair));
      });
      sum = Signed::subtract_product(Signed::to_float(mins), Signed::multiply(w.min_scale, x_scale),
                                     sum);
    }
    _mm512_storeu_ps(out + m * 16, sum);
  });
}

// Two groups of tokens, or one, with one block.
template <class T>
void add_group_pair(const Weights256<T>& w, const std::byte* x, int64_t next_x, bool both,
                    float* out) {
  constexpr PanelInput kInput = panel_input(T::kType, false).tiled();
  alignas(64) int32_t products[4][kTokens * 16];
  const std::byte* q = x + kInput.q_at() * kTokens * 4;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t k = 0; k < 4; ++k) {
    _tile_loadd(4, q + k * kTile, 64);
    _tile_loadd(6, w.low[16 * k], 64);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, w.high[16 * k], 64);
    _tile_dpbssd(1, 4, 7);
    if (both) {
      _tile_loadd(5, q + next_x + k * kTile, 64);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
  }
  _tile_stored(0, products[0], 64);
  _tile_stored(1, products[1], 64);
  add_block_of_256<T>(w, products[0], products[1], x, out);
  if (both) {
    _tile_stored(2, products[2], 64);
    _tile_stored(3, products[3], 64);
    add_block_of_256<T>(w, products[2], products[3], x + next_x, out + kTokens * 16);
  }
}

template <class T>
void dot_types_of_256(const PanelTile& tile) {
  constexpr PanelInput kInput = panel_input(T::kType, false).tiled();
  constexpr int64_t kBytes = kInput.words() * kTokens * 4;
  const int64_t blocks = tile.columns / 256;
  Weights256<T> weights;
  for (int64_t p = 0; p < tile.count; ++p) {
    const T w(tile.panels + p * tile.panel_bytes, 0);
    float* out = tile.out + p * tile.groups * kTokens * 16;
    for (int64_t b = 0; b < blocks; ++b) {
      weights.load(w, b);
      for (int64_t g = 0; g < tile.groups; g += 2) {
        const std::byte* x = tile.x + (g * blocks + b) * kBytes;
        add_group_pair<T>(weights, x, blocks * kBytes, g + 1 < tile.groups, out + g * kTokens * 16);
      }
    }
  }
}

// ---- BF16: x is the sum of two bf16, whose products with w are added in the tile.

constexpr int64_t kSplitBytes = 2 * kTile;  // of 32 elements of a group

void dot_split_pair(const PanelTile& tile, const std::byte* panel, int64_t group, bool both,
                    float* out) {
  const int64_t steps = tile.columns / 32;
  const std::byte* x0 = tile.x + group * steps * kSplitBytes;
  const std::byte* x1 = x0 + steps * kSplitBytes;
  _tile_zero(0);
  _tile_zero(1);
  for (int64_t k = 0; k < steps; ++k) {
    _tile_loadd(6, panel + k * kTile, 64);
    _tile_loadd(4, x0 + k * kSplitBytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, x0 + k * kSplitBytes + kTile, 64);
    _tile_dpbf16ps(0, 5, 6);
    if (both) {
      _tile_loadd(4, x1 + k * kSplitBytes, 64);
      _tile_dpbf16ps(1, 4, 6);
      _tile_loadd(5, x1 + k * kSplitBytes + kTile, 64);
      _tile_dpbf16ps(1, 5, 6);
    }
  }
  _tile_stored(0, out, 64);
  if (both) _tile_stored(1, out + kTokens * 16, 64);
}

void dot_split(const PanelTile& tile) {
  for (int64_t p = 0; p < tile.count; ++p) {
    for (int64_t g = 0; g < tile.groups; g += 2) {
      dot_split_pair(tile, tile.panels + p * tile.panel_bytes, g, g + 1 < tile.groups,
                     tile.out + (p * tile.groups + g) * kTokens * 16);
    }
  }
}

struct DotTiles {
  const PanelTile& tile;
  template <template <class> class T>
  void visit() const {
    using Type = T<Signed>;
    if constexpr (panel_input(Type::kType, true).block == 32) {
      configure(32);
      dot_types_of_32<Type>(tile);
    } else {
      configure(64);
      dot_types_of_256<Type>(tile);
    }
  }
};

}  // namespace

void dot_tiles(const PanelTile& tile) {
  if (tile.dtype == DType::kBF16) {
    configure(64);
    dot_split(tile);
  } else {
    const int64_t sums = tile.count * tile.groups * kTokens * 16;
    for (int64_t i = 0; i < sums; ++i) tile.out[i] = 0;
    visit_block_type(tile.dtype, DotTiles{tile});
  }
  _tile_release();
}

}  // namespace hachi::ops::cpu::amx
