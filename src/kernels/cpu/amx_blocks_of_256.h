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

// A block of a panel with a group of tokens.
template <class T>
class Block256 {
 public:
  static constexpr PanelInput kInput = panel_input(T::kType, false).tiled();
  static constexpr int64_t kBytes = kInput.words() * kTokens * 4;

  Block256(const Weights256<T>& w, const std::byte* x, float* out) : w_(&w), x_(x), out_(out) {}

  // The products, of low bits and of the rest. `meanwhile`(k) is called after step k of four, so
  // that other work runs beside the tiles.
  template <class Meanwhile>
  [[gnu::always_inline]] void multiply(int32_t* products, const Meanwhile& meanwhile) const {
    const std::byte* q = x_ + kInput.q_at() * kTokens * 4;
    _tile_zero(0);
    _tile_zero(1);
    unroll<4>([&](auto k) __attribute__((always_inline)) {
      _tile_loadd(2, q + k * kTile, 64);
      _tile_loadd(3, w_->low[16 * k], 64);
      _tile_dpbssd(0, 2, 3);
      _tile_loadd(3, w_->high[16 * k], 64);
      _tile_dpbssd(1, 2, 3);
      meanwhile(k);
    });
    _tile_stored(0, products, 64);
    _tile_stored(1, products + kSums, 64);
  }

  // Adds the products of a quarter of the tokens to their sums.
  template <int kQuarter>
  [[gnu::always_inline]] void add_tokens(const int32_t* products) const {
    unroll<kTokens / 4>([&](auto i) __attribute__((always_inline)) {
      add_token(products, kQuarter * kTokens / 4 + i);
    });
  }

  // A quarter of those of the group that follows.
  template <int kQuarter>
  [[gnu::always_inline]] void fetch_next_sums() const {
    const std::byte* sums = reinterpret_cast<const std::byte*>(out_ + kSums);
    fetch(sums + kQuarter * kSums, kSums);
  }

 private:
  [[gnu::always_inline]] void add_token(const int32_t* products, int m) const {
    const Int low = _mm512_load_si512(products + m * 16);
    const Int high = _mm512_load_si512(products + kSums + m * 16);
    const Int total = _mm512_add_epi32(low, _mm512_slli_epi32(high, 7));
    const Float x_scale = Signed::broadcast_float(x_ + m * 4);
    Float sum = _mm512_loadu_ps(out_ + m * 16);
    sum = Signed::multiply_add(Signed::to_float(total), Signed::multiply(w_->scale, x_scale), sum);
    if constexpr (kInput.mins) {
      Int mins = Signed::zero();
      unroll<kInput.sum_words()>([&](auto i) __attribute__((always_inline)) {
        const std::byte* pair = x_ + ((kInput.sums_at() + i) * kTokens + m) * 4;
        mins = Signed::add_pairs(mins, w_->mins[i], Signed::broadcast(pair));
      });
      const Float both = Signed::multiply(w_->min_scale, x_scale);
      sum = Signed::subtract_product(Signed::to_float(mins), both, sum);
    }
    _mm512_storeu_ps(out_ + m * 16, sum);
  }

  const Weights256<T>* w_;
  const std::byte* x_;
  float* out_;
};

// All groups of tokens with one block of some panels. While the tiles make the products of a group
// with a panel, those made last are added up, and the tokens and sums that come next are fetched.
template <class T>
void add_block_of_256(const Weights256<T>* weights, int64_t panels, const Slabs& slabs, int64_t b,
                      float* out) {
  using Block = Block256<T>;
  const int64_t groups = slabs.tile.groups, part = Block::kBytes / panels / 4;
  alignas(64) int32_t products[2][2 * kSums];
  Block last(weights[0], slabs.group(b, 0), out);
  last.multiply(products[0], [](auto) {});
  int32_t* finished = products[0];
  int32_t* next = products[1];
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t p = g == 0 ? 1 : 0; p < panels; ++p) {
      const Block block(weights[p], slabs.group(b, g), out + (p * groups + g) * kSums);
      const std::byte* ahead = slabs.group(b, g + 1) + 4 * p * part;
      block.multiply(
          next, [&](auto k) __attribute__((always_inline)) {
            fetch(ahead + k * part, part);
            block.template fetch_next_sums<k>();
            last.template add_tokens<k>(finished);
          });
      last = block;
      int32_t* free = finished;
      finished = next;
      next = free;
    }
  }
  unroll<4>([&](auto k) { last.template add_tokens<k>(finished); });
}

template <class T>
void dot_types_of_256(const PanelTile& tile) {
  const Slabs slabs(tile, Block256<T>::kInput);
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
