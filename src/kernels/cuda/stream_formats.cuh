// What stream_kernel.cuh has to know of a layout: how a warp's stage (16 rows of kStageColumns
// columns) comes into shared memory, and how it is multiplied with the staged rows of x. In a
// matrix product k may run in any order, so each lane reads neighbouring bytes of a row.
#pragma once

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/tile_format.h"

namespace hachi::ops::cuda {

// One lane's view of x in shared memory.
struct StagedRows {
  const uint8_t* row;  // of the matrix product's column that the lane feeds, from its first element
  bool in_use;         // whether there is such a row; else zeros are multiplied
  // kInt8: the groups of the two rows whose results the lane has.
  const OperandGroup* groups[2];
};

// Sums of products: rows g and g + 8 (in the second pair) of the lane's two columns.
using Sums = float[4];

// Layouts in rows: each of 16 lanes copies a stretch of one row.
template <int kElementBytes, int kColumns, int kPadding>
struct RowStage {
  static constexpr int kStageColumns = kColumns;
  static constexpr int kPitch = kColumns * kElementBytes + kPadding;  // bytes
  static constexpr int kStageBytes = kTileRows * kPitch;

  // What the lane copies of a tile, from its first column.
  __device__ static const uint8_t* source(const uint8_t* data, int row, int inputs, int lane) {
    return data + (row + lane % kTileRows) * (static_cast<int64_t>(inputs) * kElementBytes);
  }

  __device__ static void copy(uint32_t to, const uint8_t* source, int column, int columns, int lane,
                              uint32_t barrier, uint64_t policy) {
    const uint32_t bytes = static_cast<uint32_t>(columns) * kElementBytes;
    if (lane == 0) barrier_expect(barrier, bytes * kTileRows);
    if (lane < kTileRows) {
      bulk_copy(to + static_cast<uint32_t>(lane * kPitch), source + column * kElementBytes, bytes,
                barrier, policy);
    }
  }
};

struct BF16Format : RowStage<2, 128, 64> {
  static constexpr OperandType kOperand = OperandType::kBF16;

  template <int kRows>
  __device__ static void multiply(Sums& sums, const uint8_t* stage, int column, int columns,
                                  const StagedRows& x, const float*, int lane) {
    const uint8_t* low = stage + lane / 4 * kPitch + lane % 4 * 16;
    const uint8_t* high = low + 8 * kPitch;
    const uint8_t* row = x.row + column * 2 + lane % 4 * 16;
#pragma unroll 4
    for (int c = 0; c < columns * 2; c += 64) {
      const uint4 a = *reinterpret_cast<const uint4*>(low + c);
      const uint4 b = *reinterpret_cast<const uint4*>(high + c);
      uint4 v = {0, 0, 0, 0};
      if (x.in_use) v = *reinterpret_cast<const uint4*>(row + c);
      mma_bf16_k16(sums, a.x, b.x, a.y, b.y, v.x, v.y);
      mma_bf16_k16(sums, a.z, b.z, a.w, b.w, v.z, v.w);
    }
  }
};

// `scales` are those of the stage's blocks of 128 columns, or null if the result is scaled later.
struct F8Format : RowStage<1, 256, 32> {
  static constexpr OperandType kOperand = OperandType::kBF16;

  template <int kRows>
  __device__ static void multiply(Sums& sums, const uint8_t* stage, int column, int columns,
                                  const StagedRows& x, const float* scales, int lane) {
    const uint8_t* low = stage + lane / 4 * kPitch + lane % 4 * 8;
    const uint8_t* row = x.row + column * 2 + lane % 4 * 16;
#pragma unroll 1
    for (int block = 0; block < columns; block += 128) {
      const float scale = scales == nullptr ? 1.0f : scales[block / 128];
      Sums block_sums = {};
#pragma unroll 4
      for (int c = block; c < min(columns, block + 128); c += 32) {
        const uint2 a = *reinterpret_cast<const uint2*>(low + c);
        const uint2 b = *reinterpret_cast<const uint2*>(low + 8 * kPitch + c);
        uint4 v = {0, 0, 0, 0};
        if (x.in_use) v = *reinterpret_cast<const uint4*>(row + c * 2);
        mma_bf16_k16(block_sums, f8_pair_to_bf16<0>(a.x), f8_pair_to_bf16<0>(b.x),
                     f8_pair_to_bf16<1>(a.x), f8_pair_to_bf16<1>(b.x), v.x, v.y);
        mma_bf16_k16(block_sums, f8_pair_to_bf16<0>(a.y), f8_pair_to_bf16<0>(b.y),
                     f8_pair_to_bf16<1>(a.y), f8_pair_to_bf16<1>(b.y), v.z, v.w);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[i] = fmaf(block_sums[i], scale, sums[i]);
    }
  }
};

// Layouts in tiles: a stage is two chunks, copied as they are.
template <Layout kLayout>
struct TileFormat {
  static constexpr OperandType kOperand = OperandType::kInt8;
  static constexpr ChunkFormat kFormat = chunk_format(kLayout);
  static constexpr int kChunkBytes = kFormat.bytes();
  static constexpr int kStageColumns = 2 * kChunkColumns;
  static constexpr int kStageBytes = 2 * kChunkBytes;

  __device__ static const uint8_t* source(const uint8_t* data, int row, int inputs, int) {
    return data + static_cast<int64_t>(row / kTileRows) * (inputs / kChunkColumns) * kChunkBytes;
  }

  __device__ static void copy(uint32_t to, const uint8_t* source, int column, int, int lane,
                              uint32_t barrier, uint64_t policy) {
    if (lane != 0) return;
    barrier_expect(barrier, kStageBytes);
    bulk_copy(to, source + static_cast<int64_t>(column / kChunkColumns) * kChunkBytes, kStageBytes,
              barrier, policy);
  }

  template <int kRows>
  __device__ static void multiply(Sums& sums, const uint8_t* stage, int column, int,
                                  const StagedRows& x, const float*, int lane) {
#pragma unroll
    for (int chunk = 0; chunk < 2; ++chunk) {
      multiply_chunk<kRows>(sums, stage + chunk * kChunkBytes, column + chunk * kChunkColumns, x,
                            lane);
    }
  }

 private:
  // The f16 of the lane's row g (or g + 8), four of them.
  __device__ static uint2 four_halves(const uint8_t* rows, int lane, int row_offset, int first) {
    return *reinterpret_cast<const uint2*>(
        rows + ((lane / 4 + row_offset) * kFormat.scales_per_row + first) * 2);
  }

  __device__ static float one_of(uint2 halves, int i) {
    const float2 pair = f16_pair(i < 2 ? halves.x : halves.y);
    return i % 2 == 0 ? pair.x : pair.y;
  }

  // Adds what one matrix product of integers gives, times the scales of weights and x.
  template <int kRows>
  __device__ static void add_scaled(Sums& sums, const int (&product)[4], float low_scale,
                                    float high_scale, const float (&x_scales)[2]) {
    sums[0] = fmaf(low_scale * x_scales[0], static_cast<float>(product[0]), sums[0]);
    sums[2] = fmaf(high_scale * x_scales[0], static_cast<float>(product[2]), sums[2]);
    if constexpr (kRows > 1) {
      sums[1] = fmaf(low_scale * x_scales[1], static_cast<float>(product[1]), sums[1]);
      sums[3] = fmaf(high_scale * x_scales[1], static_cast<float>(product[3]), sums[3]);
    }
  }

  template <int kRows>
  __device__ static void multiply_chunk(Sums& sums, const uint8_t* chunk, int column,
                                        const StagedRows& x, int lane) {
    uint32_t low[8], high[8];  // two words a group
    load_weights(chunk + lane * 16, low);
    load_weights(chunk + kFormat.weight_bytes / 2 + lane * 16, high);
    const uint8_t* scales = chunk + kFormat.weight_bytes;
#pragma unroll
    for (int group = 0; group < 4; ++group) {
      multiply_group<kRows>(sums, low + 2 * group, high + 2 * group, scales, group,
                            column + 32 * group, x, lane);
    }
  }

  __device__ static void load_weights(const uint8_t* at, uint32_t (&words)[8]) {
    const uint4 first = *reinterpret_cast<const uint4*>(at);
    const uint32_t from[4] = {first.x, first.y, first.z, first.w};
    if constexpr (kFormat.weight_bytes == 1024) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        words[2 * i] = from[i] & 0x0f0f0f0fu;
        words[2 * i + 1] = from[i] >> 4 & 0x0f0f0f0fu;
      }
    } else {
      const uint4 second = *reinterpret_cast<const uint4*>(at + 512);
      const uint32_t more[4] = {second.x, second.y, second.z, second.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        words[i] = from[i];
        words[4 + i] = more[i];
      }
    }
  }

  // One group of 32 columns: `low` has row g, `high` row g + 8.
  template <int kRows>
  __device__ static void multiply_group(Sums& sums, const uint32_t* low, const uint32_t* high,
                                        const uint8_t* scales, int group, int column, const StagedRows& x, int lane) {
    OperandGroup of_x[2];
    of_x[0] = x.groups[0][column / 32];
    if constexpr (kRows > 1) of_x[1] = x.groups[1][column / 32];
    else of_x[1] = of_x[0];
    const float x_scales[2] = {of_x[0].scale, of_x[1].scale};
    if constexpr (kLayout == Layout::kInt8Half) {
      uint32_t v0 = 0, v1 = 0;
      if (x.in_use) {
        v0 = *reinterpret_cast<const uint32_t*>(x.row + column + lane % 4 * 4);
        v1 = *reinterpret_cast<const uint32_t*>(x.row + column + 16 + lane % 4 * 4);
      }
      const uint2 low_scales = four_halves(scales, lane, 0, group / 2 * 4);
      const uint2 high_scales = four_halves(scales, lane, 8, group / 2 * 4);
      const int first = group % 2 * 2;
      int product[4] = {};
      mma_s8_k16(product, low[0], high[0], v0);
      add_scaled<kRows>(sums, product, one_of(low_scales, first), one_of(high_scales, first),
                        x_scales);
      int second[4] = {};
      mma_s8_k16(second, low[1], high[1], v1);
      add_scaled<kRows>(sums, second, one_of(low_scales, first + 1),
                        one_of(high_scales, first + 1), x_scales);
    } else {
      uint2 v = {0, 0};
      if (x.in_use) v = *reinterpret_cast<const uint2*>(x.row + column + lane % 4 * 8);
      // Four bits are from 0 to 15: kInt4 takes 8 times the sum of x off.
      const int start0 = kLayout == Layout::kInt4 ? -8 * of_x[0].sum : 0;
      const int start1 = kLayout == Layout::kInt4 ? -8 * of_x[1].sum : 0;
      int product[4] = {start0, start1, start0, start1};
      mma_s8_k32(product, low[0], high[0], low[1], high[1], v.x, v.y);
      add_scaled<kRows>(sums, product, one_of(four_halves(scales, lane, 0, 0), group),
                        one_of(four_halves(scales, lane, 8, 0), group), x_scales);
      if constexpr (kFormat.has_mins) {
        const uint8_t* mins = scales + kTileRows * kFormat.scales_per_row * 2;
        const int of_groups[4] = {of_x[0].sum, of_x[1].sum, of_x[0].sum, of_x[1].sum};
        add_scaled<kRows>(sums, of_groups, one_of(four_halves(mins, lane, 0, 0), group),
                          one_of(four_halves(mins, lane, 8, 0), group), x_scales);
      }
    }
  }
};

}  // namespace hachi::ops::cuda
