// The parts of the kernel for many tokens: which rows a block has, what is in shared memory, and
// the softmax of a warpgroup's rows.
#pragma once

#include <cuda.h>

#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_wgmma.cuh"

namespace hachi::ops::cuda::attend {

inline constexpr int kRows = 128;      // of a block: tokens times the heads of one kv head
inline constexpr int kGroupRows = 64;  // of a warpgroup
inline constexpr int kStages = 2;

// Positions of a tile, counted from the sequence's first.
template <int kHeadDim>
inline constexpr int kPositions = kHeadDim <= 128 ? 128 : 64;

// Matrices of 64 elements a row that hold a head: the last may be half empty. What is there then
// goes into results that nobody reads.
template <int kHeadDim>
inline constexpr int kMatrices = (kHeadDim + 63) / 64;

// With maps of the keys and values of all pages, for the copy engine: [pages, G*32, D].
struct Mapped {
  Attention args;
  CUtensorMap keys, values;
};

// Turns of a ring.
struct Turn {
  int stage = 0;
  uint32_t phase = 0;
  __device__ void next() {
    if (++stage == kStages) stage = 0, phase ^= 1;
  }
};

// Consecutive tokens of one sequence, and one kv head.
struct Block {
  int sequence, head, heads;  // heads of the kv head
  int first_token, tokens;    // of the batch; no tokens: there are no more blocks
  int first_position;
  int first_seen, last_seen;  // positions
  int first_tile, end_tile;

  // Where a row of the block is in the batch; rows beyond the tokens are not.
  __device__ int token(int row) const { return first_token + row / heads; }
  __device__ bool valid(int row) const { return row < tokens * heads; }
  __device__ int position(int row) const { return first_position + row / heads; }
};

// Finds the block, counted from the end of the batch: the longest come first. All lanes of a warp
// take part; false if there are not so many.
__device__ inline bool find_block(const Attention& args, int number, int head, int positions,
                                  Block& block) {
  const DeviceBatch& batch = args.batch;
  const int lane = threadIdx.x % 32, sequences = static_cast<int>(batch.num_sequences);
  const int skipped = static_cast<int>(batch.num_skipped);
  block.head = head;
  block.heads = static_cast<int>(args.num_heads / args.num_kv_heads);
  const int tokens = kRows / block.heads;
  for (int end = sequences; end > skipped; end -= 32) {
    const int s = end - 1 - lane;
    const int first = s >= skipped ? batch.first_token[s] : 0;
    const int count = s >= skipped ? batch.first_token[s + 1] - first : 0;
    const int own = (count + tokens - 1) / tokens;
    int until = own;  // blocks of this sequence and those after it
    for (int lanes = 1; lanes < 32; lanes *= 2) {
      const int before = __shfl_up_sync(kAllLanes, until, lanes);
      if (lane >= lanes) until += before;
    }
    const unsigned found = __ballot_sync(kAllLanes, number < until);
    if (found == 0) {
      number -= __shfl_sync(kAllLanes, until, 31);
      continue;
    }
    const int source = __ffs(static_cast<int>(found)) - 1;
    const int in_sequence = own - 1 - (number - (until - own));
    block.sequence = __shfl_sync(kAllLanes, s, source);
    block.first_token = __shfl_sync(kAllLanes, first + in_sequence * tokens, source);
    block.tokens = __shfl_sync(kAllLanes, min(tokens, count - in_sequence * tokens), source);
    block.first_position = batch.positions[block.first_token];
    block.first_seen = first_seen(block.first_position, args.window);
    block.last_seen = block.first_position + block.tokens - 1;
    block.first_tile = block.first_seen / positions;
    block.end_tile = block.last_seen / positions + 1;
    return true;
  }
  return false;
}

inline constexpr int kWarpsThatMultiply = 8, kWarps = 12;

template <int kHeadDim>
struct FlashShared {
  static constexpr int kTileBytes = kMatrices<kHeadDim> * kPositions<kHeadDim> * 128;
  alignas(1024) char rows[kMatrices<kHeadDim> * kRows * 128];
  char keys[kStages][kTileBytes];
  char values[kStages][kTileBytes];
  uint64_t keys_full[kStages], values_full[kStages], keys_empty[kStages], values_empty[kStages];
  uint64_t blocks_full[kStages], blocks_empty[kStages];
  Block blocks[kStages];

  __device__ void make_barriers() {
    for (int i = 0; i < kStages; ++i) {
      barrier_make(shared_address(&keys_full[i]), 128);
      barrier_make(shared_address(&values_full[i]), 128);
      barrier_make(shared_address(&keys_empty[i]), kWarpsThatMultiply);
      barrier_make(shared_address(&values_empty[i]), kWarpsThatMultiply);
      barrier_make(shared_address(&blocks_full[i]), 1);
      barrier_make(shared_address(&blocks_empty[i]), 32 * kWarps);
    }
    barrier_init_fence();
  }
  // The CTA's next block, which all warps take.
  __device__ Block take_block(Turn& turn) {
    barrier_wait(shared_address(&blocks_full[turn.stage]), turn.phase);
    const Block block = blocks[turn.stage];
    barrier_arrive(shared_address(&blocks_empty[turn.stage]));  // each lane, as each has read it
    turn.next();
    return block;
  }
};

// Scores of a warpgroup's rows: a lane has rows gq and gq + 8 of its warp's 16, and of each 8
// positions 2t and 2t + 1: s[4j], s[4j + 1] of the first row, s[4j + 2], s[4j + 3] of the second.
struct RowSums {
  float base[2] = {kNone, kNone};  // of the weights: the largest score, or less
  float total[2] = {0, 0};         // of the lane's positions
  float factor[2];                 // by which older sums shrink
  bool grown;                      // whether one of the warp's rows has another base

  // A row's base stays until a weight would be larger than 2^kRoom, so that most tiles need not
  // touch older sums; f16 holds up to 2^16. It depends on the row's own scores alone.
  static constexpr float kRoom = 8;

  // Sets `base` and `factor`.
  template <int kCount>
  __device__ void raise(const float (&s)[kCount], float scale) {
    float most[2][2] = {{base[0], base[0]}, {base[1], base[1]}};
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      float& m = most[i / 2 % 2][i % 2];
      m = fmaxf(m, s[i]);
    }
    bool any = false;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float larger = fmaxf(most[r][0], most[r][1]);
      larger = fmaxf(larger, __shfl_xor_sync(kAllLanes, larger, 1));
      larger = fmaxf(larger, __shfl_xor_sync(kAllLanes, larger, 2));
      // Neither of two scores that are not seen is above the other: their difference is no number.
      const bool above = (larger - base[r]) * scale > kRoom;
      factor[r] = above ? exp2_fast((base[r] - larger) * scale) : 1.0f;
      base[r] = above ? larger : base[r];
      any |= above;
    }
    grown = __any_sync(kAllLanes, any);
  }

  // Scores become weights.
  template <int kCount>
  __device__ void weigh(float (&s)[kCount], float scale) {
    raise(s, scale);
    float shift[2], sum[2][2] = {};
#pragma unroll
    for (int r = 0; r < 2; ++r) shift[r] = base[r] == kNone ? 0.0f : base[r] * scale;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int r = i / 2 % 2;
      s[i] = exp2_fast(fmaf(s[i], scale, -shift[r]));
      sum[r][i % 2] += s[i];
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) total[r] = total[r] * factor[r] + (sum[r][0] + sum[r][1]);
  }
  template <int kCount>
  __device__ void shrink(float (&o)[kCount]) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) o[i] *= factor[i / 2 % 2];
  }
  __device__ void finish() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      total[r] += __shfl_xor_sync(kAllLanes, total[r], 1);
      total[r] += __shfl_xor_sync(kAllLanes, total[r], 2);
    }
  }
};

}  // namespace hachi::ops::cuda::attend
