// The kernel of the streamed products. A CTA a multiprocessor takes groups of outputs (stream_
// params.h), tile after tile of 16 rows. Its 8 warps share the columns of a tile: stage s of warp w
// is the one that begins at column (8s + w) * kStageColumns. Each warp has a ring of stages that
// bulk copies fill ahead, across tiles, so that the memory is never waited for; the first copies
// start before the kernels that make x have ended.
#pragma once

#include <algorithm>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/stream_finish.cuh"
#include "kernels/cuda/stream_formats.cuh"

namespace hachi::ops::cuda {

inline constexpr int kStreamWarps = 8;
inline constexpr int kStreamThreads = 32 * kStreamWarps;
inline constexpr int kMaxRingStages = 16;

// The tiles of a CTA, in order.
class TileCursor {
 public:
  __device__ explicit TileCursor(const StreamParams& p)
      : p_(p), group_(static_cast<int>(blockIdx.x)), tiles_(tiles_per_group(p)) {}

  __device__ bool at_end() const { return group_ >= p_.num_groups; }
  __device__ int index() const { return index_; }  // in the group
  __device__ Tile tile() const { return tile_of(p_, group_, index_); }
  __device__ void advance() {
    if (++index_ < tiles_) return;
    index_ = 0;
    group_ += static_cast<int>(gridDim.x);
  }

 private:
  const StreamParams& p_;
  int group_;
  int index_ = 0;
  const int tiles_;
};

// One warp's stages, filled in the order in which they are taken.
template <class Format>
class StageRing {
 public:
  __device__ StageRing(const StreamParams& p, uint8_t* memory, uint64_t* barriers, int warp,
                       int lane)
      : p_(p),
        memory_(memory),
        barriers_(shared_address(barriers)),
        warp_(warp),
        lane_(lane),
        policy_(evict_first_policy()),
        ahead_(p) {
    const int stages = (p.inputs + Format::kStageColumns - 1) / Format::kStageColumns;
    per_tile_ = (stages - warp + kStreamWarps - 1) / kStreamWarps;
    if (lane == 0) {
      for (int i = 0; i < p.ring_stages; ++i) barrier_init(barrier(i));
      barrier_init_fence();
    }
    __syncwarp();
    if (per_tile_ == 0) return;
    find_source();
    for (int i = 0; i < p.ring_stages; ++i) {
      slot_ = i;
      fill();
    }
    slot_ = 0;
  }

  // The warp's stages in a tile.
  __device__ int per_tile() const { return per_tile_; }

  // The first column of a stage and how many it has.
  __device__ int begin(int stage) const {
    return (stage * kStreamWarps + warp_) * Format::kStageColumns;
  }
  __device__ int columns(int stage) const {
    return min(Format::kStageColumns, p_.inputs - begin(stage));
  }

  __device__ const uint8_t* wait() {
    barrier_wait(barrier(slot_), phase_);
    return memory_ + slot_ * Format::kStageBytes;
  }

  // Gives the stage that was waited for back, to be filled again.
  __device__ void release() {
    __syncwarp();
    fill();
    if (++slot_ == p_.ring_stages) {
      slot_ = 0;
      phase_ ^= 1;
    }
  }

 private:
  __device__ uint32_t barrier(int slot) const { return barriers_ + static_cast<uint32_t>(slot) * 8; }

  __device__ void find_source() {
    if (ahead_.at_end()) return;
    const Tile tile = ahead_.tile();
    source_ = Format::source(p_.products[tile.product].data, tile.row, p_.inputs, lane_);
  }

  // Starts to copy the next stage into the slot.
  __device__ void fill() {
    if (ahead_.at_end()) return;
    Format::copy(shared_address(memory_) + static_cast<uint32_t>(slot_ * Format::kStageBytes),
                 source_, begin(stage_ahead_), columns(stage_ahead_), lane_, barrier(slot_),
                 policy_);
    if (++stage_ahead_ < per_tile_) return;
    stage_ahead_ = 0;
    ahead_.advance();
    find_source();
  }

  const StreamParams& p_;
  uint8_t* const memory_;
  const uint32_t barriers_;
  const int warp_;
  const int lane_;
  const uint64_t policy_;
  int per_tile_;
  int slot_ = 0;
  uint32_t phase_ = 0;
  TileCursor ahead_;  // what is copied next
  int stage_ahead_ = 0;
  const uint8_t* source_ = nullptr;
};

// Copies the rows of x, and their groups behind them, to shared memory.
template <class Format>
__device__ void copy_operand(const StreamParams& p, uint8_t* to, uint32_t barrier) {
  const int row_bytes = operand_row_bytes(Format::kOperand, p.inputs);
  const bool has_groups = Format::kOperand == OperandType::kInt8;
  const int group_bytes = has_groups ? p.inputs / 32 * static_cast<int>(sizeof(OperandGroup)) : 0;
  bulk_copy_fence();
  barrier_expect(barrier, static_cast<uint32_t>(p.rows * (row_bytes + group_bytes)));
  for (int row = 0; row < p.rows; ++row) {
    bulk_copy(shared_address(to + row * p.x_pitch), p.x + static_cast<int64_t>(row) * row_bytes,
              static_cast<uint32_t>(row_bytes), barrier);
  }
  if (has_groups) {
    bulk_copy(shared_address(to + p.rows * p.x_pitch), p.x_groups,
              static_cast<uint32_t>(p.rows * group_bytes), barrier);
  }
}

template <class Format>
__device__ StagedRows staged_rows(const StreamParams& p, const uint8_t* x, int lane) {
  const int row = lane / 4;
  const auto* groups = reinterpret_cast<const OperandGroup*>(x + p.rows * p.x_pitch);
  StagedRows staged;
  staged.row = x + min(row, p.rows - 1) * p.x_pitch;
  staged.in_use = row < p.rows;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    staged.groups[i] = groups + min(lane % 4 * 2 + i, p.rows - 1) * (p.inputs / 32);
  }
  return staged;
}

// Where the scales of a stage's blocks lie, if the product has such.
template <class Format>
__device__ const float* block_scales(const StreamParams& p, Tile tile, int column) {
  const StreamParams::Product& product = p.products[tile.product];
  if (product.scales == nullptr || product.span != ScaleSpan::kBlock128) return nullptr;
  return product.scales + tile.row / 128 * ((p.inputs + 127) / 128) + column / 128;
}

// kRows is 1 or the most there may be.
template <class Format, int kRows>
__global__ void __launch_bounds__(kStreamThreads, 1)
    stream_matmul_kernel(const __grid_constant__ StreamParams p) {
  extern __shared__ __align__(128) uint8_t memory[];
  __shared__ uint64_t filled[kStreamWarps][kMaxRingStages];
  __shared__ uint64_t x_here;
  __shared__ float partial[2][kStreamWarps][kRows][kTileRows];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  StageRing<Format> ring(p, memory + warp * p.ring_stages * Format::kStageBytes, filled[warp], warp,
                         lane);
  launch_dependents();
  uint8_t* x_memory = memory + kStreamWarps * p.ring_stages * Format::kStageBytes;
  if (threadIdx.x == 0) {
    barrier_init(shared_address(&x_here));
    barrier_init_fence();
  }
  __syncthreads();
  wait_for_earlier_kernels();
  if (threadIdx.x == 0) copy_operand<Format>(p, x_memory, shared_address(&x_here));
  const bool finishes = warp < p.rows;
  Finisher finisher(p, finishes ? warp : 0, lane);
  const StagedRows x = staged_rows<Format>(p, x_memory, lane);
  barrier_wait(shared_address(&x_here), 0);

  int buffer = 0;
  for (TileCursor cursor(p); !cursor.at_end(); cursor.advance()) {
    const Tile tile = cursor.tile();
    if (finishes) finisher.begin_tile(tile, cursor.index());
    Sums sums = {};
    for (int stage = 0; stage < ring.per_tile(); ++stage) {
      const float* scales = block_scales<Format>(p, tile, ring.begin(stage));
      const uint8_t* weights = ring.wait();
      Format::template multiply<kRows>(sums, weights, ring.begin(stage), ring.columns(stage), x,
                                       scales, lane);
      ring.release();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int column = lane % 4 * 2 + i % 2;  // of the matrix product: the row of x
      if (column < kRows) partial[buffer][warp][column][lane / 4 + i / 2 * 8] = sums[i];
    }
    __syncthreads();
    if (finishes) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kStreamWarps; ++w) sum += partial[buffer][w][warp][lane % kTileRows];
      finisher.end_tile(cursor.index(), sum);
    }
    buffer ^= 1;
  }
}

// Memory of a multiprocessor that one CTA may have, less what the kernel declares itself; and more
// than half of it, so that no CTA of the next kernel comes beside one that has not ended.
inline constexpr int kMaxStreamShared = 227 * 1024 - 6 * 1024;
inline constexpr int kMinStreamShared = 118 * 1024;
inline constexpr int kMinRingStages = 2;
extern int ring_limit;  // TUNING

template <class Format>
int operand_shared_bytes(int rows, int inputs) {
  const int row = operand_row_bytes(Format::kOperand, inputs) +
                  operand_padding(Format::kOperand, inputs);
  const bool has_groups = Format::kOperand == OperandType::kInt8;
  return rows * (row + (has_groups ? inputs / 32 * static_cast<int>(sizeof(OperandGroup)) : 0));
}

template <class Format, int kRows>
void launch_stream(Stream stream, const StreamParams& params, int shared_bytes) {
  static const bool allowed = [] {
    allow_shared_bytes(stream_matmul_kernel<Format, kRows>, kMaxStreamShared);
    return true;
  }();
  static_cast<void>(allowed);
  launch(stream, stream_matmul_kernel<Format, kRows>,
         dim3(static_cast<unsigned>(std::min(params.num_groups, num_multiprocessors()))),
         dim3(kStreamThreads), static_cast<size_t>(std::max(shared_bytes, kMinStreamShared)),
         params);
}

// Rows of x for which there is no room beside the ring go to a launch of their own.
template <class Format>
void stream_format(Stream stream, const StreamParams& all) {
  constexpr int kRingBytes = kStreamWarps * Format::kStageBytes;  // one stage of each warp
  int most = all.rows;
  const auto room = [&](int rows) {
    return (kMaxStreamShared - operand_shared_bytes<Format>(rows, all.inputs)) / kRingBytes;
  };
  while (room(most) < kMinRingStages) --most;
  CHECK(most > 0);
  for (int first = 0; first < all.rows; first += most) {
    StreamParams params = rows_of(all, first, std::min(most, all.rows - first));
    params.ring_stages = std::min(ring_limit, room(params.rows));
    params.x_pitch = operand_row_bytes(Format::kOperand, all.inputs) +
                     operand_padding(Format::kOperand, all.inputs);
    const int shared_bytes =
        operand_shared_bytes<Format>(params.rows, all.inputs) + params.ring_stages * kRingBytes;
    if (params.rows == 1) launch_stream<Format, 1>(stream, params, shared_bytes);
    else launch_stream<Format, kMaxStreamRows>(stream, params, shared_bytes);
  }
}

}  // namespace hachi::ops::cuda
