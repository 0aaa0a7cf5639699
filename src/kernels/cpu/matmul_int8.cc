// Products with weights of a block type: x is rounded to bytes once, then kRows rows of weights at
// a time are unpacked to bytes, kDepth elements of each, and meet all tokens of a tile.
#include "kernels/cpu/matmul_int8.h"

#include <algorithm>

#include "kernels/cpu/select.h"
#include "kernels/weight_blocks.h"

namespace hachi::ops::cpu {
namespace {

// Chosen with bench_kernels: the unpacked rows, 12 KiB, and the lanes of a token tile, 12 KiB,
// share a first-level cache of 32 KiB with rows of x.
constexpr int64_t kRows = 8;      // rows of w unpacked at a time
constexpr int64_t kDepth = 1024;  // elements of each, a multiple of every block size
constexpr int64_t kTokens = 48;   // tokens whose lanes are held while kDepth walks along a row

// The rounded rows of x, in the workspace.
class Inputs {
 public:
  Inputs(Workspace& workspace, int64_t tokens, int64_t n)
      : n_(n), row_bytes_(bytes_per_row(n)), data_(workspace.reserve(tokens * row_bytes_)) {}

  // Row t from element k on, which is a multiple of kInt8Block.
  Int8Row row(int64_t t, int64_t k) const {
    std::byte* q = data_ + t * row_bytes_;
    auto* scales = reinterpret_cast<float*>(q + n_);
    float* sums = scales + n_ / kInt8Block;
    return {reinterpret_cast<int8_t*>(q) + k, scales + k / kInt8Block, sums + k / kGroup};
  }

 private:
  static int64_t bytes_per_row(int64_t n) {
    constexpr int64_t kFloats = 1 + kInt8Block / kGroup;  // a block's scale and sums
    return n + n / kInt8Block * kFloats * static_cast<int64_t>(sizeof(float));
  }

  int64_t n_;
  int64_t row_bytes_;
  std::byte* data_;
};

// Which rows of w meet which rows of x.
struct Tile {
  int64_t first_row, num_rows;
  int64_t first_token, num_tokens;
};

struct Scratch {
  alignas(64) int8_t q[kRows * kDepth];
  alignas(64) float scales[kRows * kDepth / kGroup];
  alignas(64) float mins[kRows * kDepth / kGroup];
  alignas(64) float lanes[kTokens * kRows * kLanes];
  std::byte blocks[2 * kDepth];  // of a row that is held in panels; no block type takes more

  UnpackedRow row(int64_t r) {
    constexpr int64_t kGroups = kDepth / kGroup;
    return {q + r * kDepth, scales + r * kGroups, mins + r * kGroups};
  }
};

// Fills the scratch with elements [first, first + n) of the tile's rows; zeros pad the rows of mins
// to whole vectors, and the tile to kRows rows.
void load_weights(const InnerLoops& loops, const Weight& w, const Tile& tile, int64_t first,
                  int64_t n, Scratch* scratch) {
  const DType type = w.values.dtype();
  for (int64_t r = 0; r < kRows; ++r) {
    const UnpackedRow row = scratch->row(r);
    int64_t groups = 0;
    if (r < tile.num_rows) {
      const std::byte* blocks = weight_blocks(w, tile.first_row + r, first, n, scratch->blocks);
      loops.unpack(type, blocks, n, row);
      groups = n / kGroup;
    } else {
      std::fill(row.q, row.q + n, int8_t{0});
      std::fill(row.scales, row.scales + n / kGroup, 0.0f);
    }
    const int64_t padded = (n / kGroup + kLanes - 1) / kLanes * kLanes;
    std::fill(row.mins + groups, row.mins + padded, 0.0f);
  }
}

void multiply_tile(const InnerLoops& loops, Tensor y, const Inputs& inputs, int64_t num_inputs,
                   const Weight& w, const Tile& tile, bool add) {
  Scratch scratch;
  std::fill(scratch.lanes, scratch.lanes + tile.num_tokens * kRows * kLanes, 0.0f);
  const bool shifted = has_mins(w.values.dtype());
  Int8Row tokens[kTokens];
  const float* sums[kTokens];
  for (int64_t k = 0; k < num_inputs; k += kDepth) {
    const int64_t n = std::min(kDepth, num_inputs - k);
    load_weights(loops, w, tile, k, n, &scratch);
    for (int64_t t = 0; t < tile.num_tokens; ++t) {
      tokens[t] = inputs.row(tile.first_token + t, k);
      sums[t] = tokens[t].sums;
    }
    loops.dot_int8({tokens, tile.num_tokens, scratch.row(0), kDepth, kRows, n, !shifted},
                   scratch.lanes);
    if (shifted) {
      loops.dot_lanes({sums, tile.num_tokens, scratch.mins, kDepth / kGroup, kRows, n / kGroup},
                      scratch.lanes);
    }
  }
  float totals[kRows];
  for (int64_t t = 0; t < tile.num_tokens; ++t) {
    loops.sum_lanes(scratch.lanes + t * kRows * kLanes, kRows, totals);
    float* out = y.row<float>(tile.first_token + t) + tile.first_row;
    for (int64_t r = 0; r < tile.num_rows; ++r) out[r] = add ? out[r] + totals[r] : totals[r];
  }
}

}  // namespace

void multiply_int8(Context& ctx, Tensor y, ConstTensor x, const Weight& w, bool add) {
  const InnerLoops& loops = inner_loops(ctx.features);
  const int64_t num_tokens = x.size(0);
  const int64_t num_inputs = x.size(1);
  const Inputs inputs(ctx.workspace, num_tokens, num_inputs);
  ctx.pool->parallel_for(num_tokens, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      loops.round_to_int8(w.values.dtype(), x.row<float>(t), num_inputs, inputs.row(t, 0));
    }
  });
  ctx.pool->parallel_for(w.values.size(0), kRows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += kRows) {
      for (int64_t token = 0; token < num_tokens; token += kTokens) {
        const Tile tile{row, std::min(kRows, end - row), token,
                        std::min(kTokens, num_tokens - token)};
        multiply_tile(loops, y, inputs, num_inputs, w, tile, add);
      }
    }
  });
}

}  // namespace hachi::ops::cpu
