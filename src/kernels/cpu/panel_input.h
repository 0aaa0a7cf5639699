// What a panel (kernels/panels.h) is multiplied with: the activations of M tokens, side by side.
//
// The tokens' values are cut into the blocks of the weights' type. A block of M tokens is a run of
// words of four bytes, each M times, token after token:
//
//   blocks of 32:   scale f32 | sum f32, with mins | start i32, with an offset | q: 8 x 4 bytes
//   blocks of 256:  scale f32 | starts i32, one a group | sums: pairs of i16 | q: 64 x 4 bytes
//   plain types:    one f32
//
// In the words of q, `run` words of a token stand side by side: one; or, for processors with tiles
// (AMX), whose registers hold rows of tokens, as many as a tile's row takes. There BF16 weights are
// multiplied with x rounded to bf16, in blocks of 32: 16 words. And there all groups of 16 tokens
// stand together in slabs of 256 elements: the first 256 of all groups, group after group, then the
// next, so that a slab and its sums stay in the second-level cache.
//
// where start = -offset * (sum of q over the block or group): what turns products with weights that
// were stored plus `offset` into those with the signed ones. Pair i of the sums holds the groups
// 4 * (i / 2) + i % 2 and two more, as two of four bytes in a word lie; they meet the mins. The
// scales, q and f32 sums are those of kernels/int8_row.h.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace hachi::ops::cpu {

struct PanelInput {
  int block = 1;         // elements
  int group = 1;         // elements that share an integer scale: 16 or 32, in blocks of 256
  int offset = 0;        // what q of the stored weights is too large by
  bool mins = false;     // the type has mins
  int run = 1;           // words of a token side by side
  bool rounded = false;  // plain types: x as bf16

  constexpr bool plain() const { return block < 32 || rounded; }
  constexpr int groups() const { return block / group; }
  // As tiles take it.
  constexpr PanelInput tiled() const {
    PanelInput input = *this;
    input.run = block == 32 ? 8 : 16;
    return input;
  }
  // In words, in the order in which they stand.
  constexpr int scale_words() const { return plain() ? 0 : 1; }
  constexpr int sum_words() const {
    if (!mins) return 0;
    return block == 32 ? 1 : groups() / 2;
  }
  constexpr int start_words() const { return offset == 0 ? 0 : groups(); }
  constexpr int starts_at() const { return scale_words() + (block == 32 ? sum_words() : 0); }
  constexpr int sums_at() const { return scale_words() + (block == 32 ? 0 : start_words()); }
  constexpr int q_at() const { return scale_words() + sum_words() + start_words(); }
  constexpr int words() const {
    if (plain()) return rounded ? block / 2 : block;
    return q_at() + block / 4;
  }

  constexpr bool operator==(const PanelInput&) const = default;
};

// `signed_bytes`: the instruction set multiplies signed weights, and types of 8 bits need no
// offset.
constexpr PanelInput panel_input(DType dtype, bool signed_bytes) {
  const int byte_offset = signed_bytes ? 0 : 128;
  switch (dtype) {
    case DType::kQ4_0:
      return {32, 32, 8, false};
    case DType::kQ5_0:
      return {32, 32, 16, false};
    case DType::kQ8_0:
    case DType::kIQ4_NL:
      return {32, 32, byte_offset, false};
    case DType::kQ4_1:
    case DType::kQ5_1:
      return {32, 32, 0, true};
    case DType::kQ2_K:
      return {256, 16, 0, true};
    case DType::kQ3_K:
      return {256, 16, 4, false};
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {256, 32, 0, true};
    case DType::kQ6_K:
      return {256, 16, 32, false};
    case DType::kIQ4_XS:
      return {256, 32, byte_offset, false};
    case DType::kBF16:
      return {2, 1, 0, false};
    default:
      return {};
  }
}

// BF16 for tiles.
constexpr PanelInput rounded_input() { return {32, 1, 0, false, 16, true}; }

}  // namespace hachi::ops::cpu
