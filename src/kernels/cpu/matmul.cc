// Weights that are not of a block type are read once a token tile, kRows rows by kDepth elements at
// a time, into an f32 scratch that stays in the first-level cache; there all tokens of the tile use
// them.
#include <algorithm>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/matmul_int8.h"
#include "kernels/cpu/matmul_panels.h"
#include "kernels/cpu/select.h"
#include "kernels/cpu/weight_rows.h"

namespace hachi::ops::cpu {
namespace {

// Chosen by the cycles of decode and prefill (docs/kernels.md): a scratch of 24 KiB and the lanes
// of a token tile, 12 KiB, share a first-level cache of 48 KiB with two rows of x.
constexpr int64_t kRows = 8;     // rows of w in the scratch
constexpr int64_t kDepth = 768;  // elements of each, a multiple of every block size
constexpr int64_t kTokens = 48;  // tokens whose lanes are held while the scratch walks along a row

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Which rows of w meet which rows of x.
struct Tile {
  int64_t first_row, num_rows;
  int64_t first_token, num_tokens;
};

// Fills the scratch with elements [first, first + n) of the tile's rows; zeros pad the rows to
// whole vectors, and the tile to whole groups of eight rows.
void load_weights(const InnerLoops& loops, const Weight& w, const Tile& tile, int64_t first,
                  int64_t n, float* scratch) {
  for (int64_t r = 0; r < tile.num_rows; ++r) {
    float* row = scratch + r * kDepth;
    decode_weights(loops, w, tile.first_row + r, first, n, row);
    std::fill(row + n, row + round_up(n, kLanes), 0.0f);
  }
  const int64_t padded = round_up(tile.num_rows, 8);
  std::fill(scratch + tile.num_rows * kDepth, scratch + padded * kDepth, 0.0f);
}

template <bool kAdd>
void multiply_tile(const InnerLoops& loops, Tensor y, ConstTensor x, const Weight& w,
                   const Tile& tile) {
  alignas(64) float scratch[kRows * kDepth];
  alignas(64) float lanes[kTokens * kRows * kLanes];
  const int64_t padded = round_up(tile.num_rows, 8);
  std::fill(lanes, lanes + tile.num_tokens * padded * kLanes, 0.0f);
  const float* tokens[kTokens];
  for (int64_t k = 0; k < x.size(1); k += kDepth) {
    const int64_t n = std::min(kDepth, x.size(1) - k);
    load_weights(loops, w, tile, k, n, scratch);
    for (int64_t t = 0; t < tile.num_tokens; ++t) {
      tokens[t] = x.row<float>(tile.first_token + t) + k;
    }
    loops.dot_lanes({tokens, tile.num_tokens, scratch, kDepth, padded, n}, lanes);
  }
  float sums[kRows];
  for (int64_t t = 0; t < tile.num_tokens; ++t) {
    loops.sum_lanes(lanes + t * padded * kLanes, padded, sums);
    float* out = y.row<float>(tile.first_token + t) + tile.first_row;
    for (int64_t r = 0; r < tile.num_rows; ++r) out[r] = kAdd ? out[r] + sums[r] : sums[r];
  }
}

template <bool kAdd>
void multiply_rows(Context& ctx, Tensor y, ConstTensor x, const Weight& w) {
  if (is_block_type(w.values.dtype())) return multiply_int8(ctx, y, x, w, kAdd);
  const InnerLoops& loops = inner_loops(ctx.features);
  ctx.pool->parallel_for(w.values.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += kRows) {
      for (int64_t token = 0; token < x.size(0); token += kTokens) {
        multiply_tile<kAdd>(
            loops, y, x, w,
            {row, std::min(kRows, end - row), token, std::min(kTokens, x.size(0) - token)});
      }
    }
  });
}

}  // namespace

void matmul(Context& ctx, std::span<const Product> products, ConstTensor x) {
  const InnerLoops& loops = inner_loops(ctx.features);
  const auto takes = [&](const Product& product) { return takes_panels(loops, *product.w); };
  if (std::all_of(products.begin(), products.end(), takes)) {
    return multiply_panels(ctx, products, x, false);
  }
  for (const Product& product : products) {
    if (takes(product)) {
      multiply_panels(ctx, {&product, 1}, x, false);
    } else {
      multiply_rows<false>(ctx, product.y, x, *product.w);
    }
  }
}

bool prefers_panels(const CpuFeatures& features, const Weight& w) {
  return inner_loops(features).dot_panels != nullptr &&
         has_panels(w.values.dtype(), w.values.size(1));
}

void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w) {
  if (takes_panels(inner_loops(ctx.features), w)) {
    const Product product{y, &w};
    return multiply_panels(ctx, {&product, 1}, x, true);
  }
  multiply_rows<true>(ctx, y, x, w);
}

}  // namespace hachi::ops::cpu
