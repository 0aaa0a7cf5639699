// The kernel of the streamed products. A CTA a multiprocessor takes groups of outputs
// (stream_params.cuh), tile after tile of 16 rows. Its first 8 warps share the columns of a tile,
// in spans of kSpanColumns: span 8i + w is warp w's. Each has a ring of stages that bulk copies
// fill ahead, across tiles, so that the memory is never waited for; the first copies start before
// the kernels that make x have ended. More warps, one a row of x, add the sums of the 8 and finish
// a tile, while those are at the next ones.
#pragma once

#include <algorithm>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/stream_finish.cuh"
#include "kernels/cuda/stream_formats.cuh"

namespace hachi::ops::cuda {

inline constexpr int kStreamWarps = 8;
inline constexpr int kStreamThreads = 32 * kStreamWarps;
inline constexpr int kMaxRingStages = 4;

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
    const int spans = (p.inputs + Format::kSpanColumns - 1) / Format::kSpanColumns;
    per_tile_ = (spans - warp + kStreamWarps - 1) / kStreamWarps * kStagesPerSpan;
    if (lane == 0) {
      for (int i = 0; i < p.ring_stages; ++i) barrier_init(barrier(i), 1);
      barrier_init_fence();
    }
    __syncwarp();
    if (per_tile_ == 0) return;
    if (!ahead_.at_end()) tile_ahead_ = ahead_.tile();
    for (slot_ = 0; slot_ < p.ring_stages; ++slot_) fill();
    slot_ = 0;
  }

  // The warp's stages in a tile.
  __device__ int per_tile() const { return per_tile_; }

  // The first column of a stage.
  __device__ int begin(int stage) const {
    return (stage / kStagesPerSpan * kStreamWarps + warp_) * Format::kSpanColumns +
           stage % kStagesPerSpan * Format::kStageColumns;
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
  static constexpr int kStagesPerSpan = Format::kSpanColumns / Format::kStageColumns;

  __device__ uint32_t barrier(int slot) const {
    return barriers_ + static_cast<uint32_t>(slot) * 8;
  }

  // Starts to copy the next stage into the slot.
  __device__ void fill() {
    if (ahead_.at_end()) return;
    if (lane_ == 0) {
      Format::copy(p_, tile_ahead_, begin(stage_ahead_),
                   shared_address(memory_) + static_cast<uint32_t>(slot_ * Format::kStageBytes),
                   barrier(slot_), policy_);
    }
    if (++stage_ahead_ < per_tile_) return;
    stage_ahead_ = 0;
    ahead_.advance();
    if (!ahead_.at_end()) tile_ahead_ = ahead_.tile();
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
  Tile tile_ahead_ = {};
  int stage_ahead_ = 0;
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

// Zeros behind each row of x, up to a whole span.
__device__ inline void clear_padding(const StreamParams& p, uint8_t* x, int row_bytes) {
  const int words = (p.x_pitch - row_bytes) / 4;
  const int threads = static_cast<int>(blockDim.x) - kStreamThreads;
  for (int i = static_cast<int>(threadIdx.x) - kStreamThreads; i < words * p.rows; i += threads) {
    *reinterpret_cast<uint32_t*>(x + i / words * p.x_pitch + row_bytes + i % words * 4) = 0;
  }
}

// Lanes of a warp that hold sums of some of kRows rows. Each says for itself that its sums are
// there, as tools that look for races want it.
template <int kRows>
inline constexpr int kSumLanes = 8 * ((kRows + 1) / 2);

// Sums of the columns of each warp, on their way to the warps that finish a tile.
template <int kRows>
struct Partials {
  static constexpr int kTiles = 4;  // between the two
  float sums[kTiles][kStreamWarps][kRows][kTileRows];
  uint64_t full[kTiles];
  uint64_t empty[kTiles];
};

// What a warp does that multiplies.
template <class Format, int kRows>
__device__ void multiply_tiles(const StreamParams& p, StageRing<Format>& ring, const StagedRows& x,
                               Partials<kRows>& partials, int warp, int lane) {
  int count = 0;
  for (TileCursor cursor(p); !cursor.at_end(); cursor.advance(), ++count) {
    const Tile tile = cursor.tile();
    Sums sums[2] = {};
    for (int stage = 0; stage < ring.per_tile(); ++stage) {
      const int column = ring.begin(stage);
      const auto scales = Format::scales(p, tile, column);
      const uint8_t* weights = ring.wait();
      Format::multiply(sums, weights, column, x, scales, lane);
      ring.release();
    }
    const int at = count % partials.kTiles;
    const auto parity = static_cast<uint32_t>(count / partials.kTiles) & 1u;
    barrier_wait(shared_address(&partials.empty[at]), parity ^ 1u);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = lane % 4 * 2 + i % 2;  // of x
      if (row < kRows) partials.sums[at][warp][row][lane / 4 + i / 2 * 8] = sums[0][i] + sums[1][i];
    }
    if (lane % 4 * 2 < kRows) barrier_arrive(shared_address(&partials.full[at]));
  }
}

// What a warp does that finishes a row of x.
template <int kRows>
__device__ void finish_tiles(const StreamParams& p, Partials<kRows>& partials, int row, int lane) {
  Finisher finisher(p, row, lane);
  int count = 0;
  for (TileCursor cursor(p); !cursor.at_end(); cursor.advance(), ++count) {
    finisher.begin_tile(cursor.tile(), cursor.index());
    const int at = count % partials.kTiles;
    const auto parity = static_cast<uint32_t>(count / partials.kTiles) & 1u;
    barrier_wait(shared_address(&partials.full[at]), parity);
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kStreamWarps; ++w) sum += partials.sums[at][w][row][lane % kTileRows];
    barrier_arrive(shared_address(&partials.empty[at]));
    finisher.end_tile(cursor.index(), sum);
  }
}

template <int kRows>
__device__ void init_partials(const StreamParams& p, Partials<kRows>& partials) {
  for (int i = 0; i < partials.kTiles; ++i) {
    barrier_init(shared_address(&partials.full[i]), kStreamWarps * kSumLanes<kRows>);
    barrier_init(shared_address(&partials.empty[i]), static_cast<uint32_t>(32 * p.rows));
  }
}

// kRows is 1 or the most there may be. Behind the warps that multiply come as many that finish.
template <class Format, int kRows>
__global__ void __launch_bounds__(32 * (kStreamWarps + kRows), 1)
    stream_matmul_kernel(const __grid_constant__ StreamParams p) {
  extern __shared__ __align__(128) uint8_t memory[];
  __shared__ uint64_t filled[kStreamWarps][kMaxRingStages];
  __shared__ uint64_t x_here;
  __shared__ Partials<kRows> partials;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  launch_dependents();
  uint8_t* x_memory = memory + kStreamWarps * p.ring_stages * Format::kStageBytes;
  if (warp >= kStreamWarps) {
    if (warp == kStreamWarps && lane == 0) {
      barrier_init(shared_address(&x_here), 1);
      init_partials(p, partials);
      barrier_init_fence();
    }
    clear_padding(p, x_memory, operand_row_bytes(Format::kOperand, p.inputs));
    __syncthreads();
    wait_for_earlier_kernels();
    if (warp == kStreamWarps && lane == 0) {
      copy_operand<Format>(p, x_memory, shared_address(&x_here));
    }
    const int row = warp - kStreamWarps;
    __syncwarp();
    if (row < p.rows) finish_tiles(p, partials, row, lane);
    return;
  }
  StageRing<Format> ring(p, memory + warp * p.ring_stages * Format::kStageBytes, filled[warp], warp,
                         lane);
  __syncthreads();
  const StagedRows x = staged_rows<Format>(p, x_memory, lane);
  barrier_wait(shared_address(&x_here), 0);
  multiply_tiles(p, ring, x, partials, warp, lane);
}

// Rows of x that a launch takes at most: all columns of the matrix unit's tiles, or half of them
// where x would leave no room for the ring.
template <class Format>
inline constexpr int kRowsAtOnce = Format::kOperand == OperandType::kInt8 ? 8 : 4;

// Memory of a multiprocessor that one CTA may have, less what the kernel declares itself; and more
// than half of it, so that no CTA of the next kernel comes beside one that has not ended.
template <class Format>
inline constexpr int kMaxStreamShared = 227 * 1024 -
                                        static_cast<int>(sizeof(Partials<kRowsAtOnce<Format>>)) -
                                        1024;
inline constexpr int kMinStreamShared = 118 * 1024;
inline constexpr int kMinRingStages = 2;

// Bytes from row to row of x in shared memory: whole spans, and so that the rows begin in other
// banks.
template <class Format>
int staged_pitch(int inputs) {
  const int spans = (inputs + Format::kSpanColumns - 1) / Format::kSpanColumns;
  const int padding = Format::kOperand == OperandType::kBF16 ? 64 : 32;
  return operand_row_bytes(Format::kOperand, spans * Format::kSpanColumns) + padding;
}

template <class Format>
int staged_bytes(int rows, int inputs) {
  const bool has_groups = Format::kOperand == OperandType::kInt8;
  const int group_bytes = has_groups ? inputs / 32 * static_cast<int>(sizeof(OperandGroup)) : 0;
  return rows * (staged_pitch<Format>(inputs) + group_bytes);
}

// The stages for which there is room beside x, up to what is worth while.
template <class Format>
int ring_stages(int rows, int inputs) {
  const int room = kMaxStreamShared<Format> - staged_bytes<Format>(rows, inputs);
  return std::min(Format::kRingStages, room / (kStreamWarps * Format::kStageBytes));
}

template <class Format, int kRows>
void launch_stream(Stream stream, StreamParams params) {
  once_a_device([] {
    allow_shared_bytes(stream_matmul_kernel<Format, kRows>, kMaxStreamShared<Format>);
    return true;
  });
  params.x_pitch = staged_pitch<Format>(params.inputs);
  params.ring_stages = ring_stages<Format>(params.rows, params.inputs);
  CHECK(params.ring_stages > 0);
  if (Format::kMapped) {
    map_matrices(params, kTileRows, Format::kStageBytes / kTileRows, 0);
  }
  const int shared_bytes = staged_bytes<Format>(params.rows, params.inputs) +
                           params.ring_stages * kStreamWarps * Format::kStageBytes;
  launch(stream, stream_matmul_kernel<Format, kRows>,
         dim3(static_cast<unsigned>(std::min(params.num_groups, num_multiprocessors()))),
         dim3(32 * (kStreamWarps + kRows)),
         static_cast<size_t>(std::max(shared_bytes, kMinStreamShared)), params);
}

// Rows of x for which there is no room go to a launch of their own.
template <template <int> class Format>
void stream_format(Stream stream, const StreamParams& all) {
  constexpr int kAtOnce = kRowsAtOnce<Format<1>>;
  int most = std::min(all.rows, kAtOnce);
  while (most > 1 && ring_stages<Format<kAtOnce>>(most, all.inputs) < kMinRingStages) --most;
  for (int first = 0; first < all.rows; first += most) {
    const StreamParams part = rows_of(all, first, std::min(most, all.rows - first));
    if (part.rows == 1) {
      launch_stream<Format<1>, 1>(stream, part);
    } else {
      launch_stream<Format<kAtOnce>, kAtOnce>(stream, part);
    }
  }
}

}  // namespace hachi::ops::cuda
