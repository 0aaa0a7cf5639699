// The innermost loops of the ops, one set an instruction set. The ops cut the work into threads and
// tiles, the same for all sets; a set turns a tile into instructions. Sets differ by roundings
// only.
//
// Files *_avx2.cc are compiled for AVX2 and must define nothing that the linker could share with
// other files (no inline function or template of another header with linkage of its own): it might
// keep their copy for processors that have no AVX2.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "kernels/int8_row.h"
#include "kernels/panels.h"
#include "kernels/unpack.h"

namespace hachi::ops::cpu {

inline constexpr int kLanes = 8;  // partial sums of a dot product

// Attention: positions that have one softmax, and the floats from one row of its scratch to the
// next, a little more so that the rows do not all fall on a few sets of the first cache.
inline constexpr int64_t kSegment = 256;
inline constexpr int64_t kRowStride = kSegment + 16;

// exp(-2u) in the formula of geglu.h has -2u = g * (kGeluLinear + kGeluCubic * g^2).
inline constexpr float kGeluLinear = -1.5957691216057308f;  // -2 sqrt(2 / pi)
inline constexpr float kGeluCubic = 0.044715f * kGeluLinear;

// Dot products of each row of x with each row of w, over n elements.
struct DotTile {
  const float* const* x;  // num_x rows
  int64_t num_x;
  const float* w;  // num_w rows, w_stride elements apart, padded with zeros to a multiple of kLanes
  int64_t w_stride;
  int64_t num_w;  // a multiple of 8
  int64_t n;
};

// The same for weights of a block type. Their mins are not in it: they and the sums of x make a
// DotTile.
struct Int8Tile {
  const Int8Row* x;  // num_x rows
  int64_t num_x;
  UnpackedRow w;  // num_w rows, w_stride elements apart
  int64_t w_stride;
  int64_t num_w;  // a multiple of 8
  int64_t n;      // a multiple of kInt8Block
  bool w_signed;  // false: no q of w is negative
};

// Tokens that a set takes together with panels, at most. Builds with sanitizers take fewer, of the
// same code, which grows with them: there it would compile for many minutes.
#if HACHI_FEW_PANEL_TOKENS
inline constexpr int kMostPanelTokens = 2;
#else
inline constexpr int kMostPanelTokens = 16;
#endif

// Nor do they ask for what follows in memory: each address would be checked.
inline constexpr bool kFetchesPanels = kMostPanelTokens > 2;

// Panels that dot_tiles takes together, at most.
inline constexpr int64_t kTilePanels = 8;

// Some panels of a matrix (kernels/panels.h) with the activations of some tokens.
struct PanelTile {
  DType dtype;
  const std::byte* panels;  // `count` of them, panel_bytes each
  int64_t count;
  int64_t panel_bytes;
  int64_t columns;     // of the matrix
  const std::byte* x;  // as panel_input.h has it, for `tokens`
  int tokens;  // 1, 2, 4, 8, 12 or 16, at most InnerLoops::max_panel_tokens; of tiles see below
  float* out;  // [count][groups][tokens][16], written
  int64_t groups = 1;    // of tiles: so many groups of 16 tokens; one of BF16 alone may be smaller
  int64_t x_groups = 1;  // of tiles: groups in x,
  int64_t first_group = 0;  // and which of them is the first here
};

// Rows of queries and a page of keys (kv_page.h). All rows are kRowStride apart.
struct KeyTile {
  DType dtype;
  const std::byte* page;
  const std::byte* ahead;  // a page that will be read soon: fetched on the way
  const float* q;          // num_q rows of `width`
  int64_t num_q;
  int64_t width;
  float* scores;  // num_q rows of kPagePositions, written
};

// Rows of weights and positions [first, first + count) of a page of values.
struct ValueTile {
  DType dtype;
  const std::byte* page;
  const std::byte* ahead;  // as for keys
  int64_t first, count;
  const float* weights;  // num_y rows of `count`
  int64_t num_y;
  int64_t width;
  float* y;  // num_y rows of `width` rounded up to 32, read and written
};

// Of the weights exp(score - max) of some positions.
struct SoftmaxState {
  float max;
  float sum;
};

struct InnerLoops {
  // As kernels/decode.h has them.
  void (*decode)(DType dtype, const std::byte* data, int64_t n, float* y);
  void (*encode)(DType dtype, const float* x, int64_t n, std::byte* data);

  // As kernels/unpack.h and kernels/int8_row.h have them, bit for bit.
  void (*unpack)(DType dtype, const std::byte* data, int64_t n, const UnpackedRow& row);
  void (*round_to_int8)(DType dtype, const float* x, int64_t n, const Int8Row& row);
  // For each block b of 32: lanes[i][r][j] += (scale of x * scale of w) * sum of x.q[k] * w.q[k]
  // over the four k from 32b + 4j on, in the order of b.
  void (*dot_int8)(const Int8Tile& tile, float* lanes);

  // lanes[i][r][j] += sum of x[i][k] * w[r][k] over k with k % kLanes == j, in the order of k.
  void (*dot_lanes)(const DotTile& tile, float* lanes);
  // y[i] = sum of lanes[i][0..7], as ((0+1)+(2+3)) + ((4+5)+(6+7)); count is a multiple of 4.
  void (*sum_lanes)(const float* lanes, int64_t count, float* y);
  // Products of all rows of the panels with all tokens. Null: the set has none, and takes rows.
  void (*dot_panels)(const PanelTile& tile);
  int max_panel_tokens;
  bool signed_bytes;  // see panel_input()

  // The same for groups of 16 tokens, on a processor that multiplies tiles; null if it does not.
  // Block types: the same bits as dot_panels. BF16: bits of its own, so all tokens go this way.
  void (*dot_tiles)(const PanelTile& tile);

  // scores[i][s] = q[i] . key[s]
  void (*score_keys)(const KeyTile& tile);
  // y[i] += sum over s of weights[i][s] * value[s], in the order of s
  void (*add_values)(const ValueTile& tile);
  // scores[0..count) become exp(score - max); up to 15 floats beyond them may be overwritten.
  SoftmaxState (*softmax)(float* scores, int64_t count);
  // Takes sums of values weighted with `from` into sums weighted with `into`, n of them.
  void (*merge)(SoftmaxState* into, float* y, const SoftmaxState& from, const float* sums,
                int64_t n);

  // One row of the ops of these names.
  void (*rms_norm)(float* y, const float* x, const float* w, int64_t n, float eps);
  void (*rope_halves)(float* x, const float* cosines, const float* sines, int64_t half);
  void (*rope_interleaved)(float* x, const float* cosines, const float* sines, int64_t half);
  void (*swiglu)(float* y, const float* gate, const float* up, int64_t n);
  void (*geglu)(float* y, const float* gate, const float* up, int64_t n);
};

}  // namespace hachi::ops::cpu
