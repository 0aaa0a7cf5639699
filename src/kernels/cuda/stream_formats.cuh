// What stream_kernel.cuh has to know of a layout: how a warp's stage (16 rows of kStageColumns
// columns) comes into shared memory, how it is multiplied with the staged rows of x, and how many
// stages a ring has: more of them make the start of a kernel dearer than they save (stream_bench on
// an H100: kInt4 1.70 ms a step with 3 stages, 1.97 with twice the bytes). In a matrix product k
// may run in any order, so each lane reads neighbouring bytes of a row.
#pragma once

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/stream_finish.cuh"

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

// Layouts in rows: a stage is a box of the matrix. A warp takes 512 bytes of each row at once, in
// two stages where that gets x more room or is faster; 256 bytes and then those of the next warp
// cost 3 % of the memory's speed. The rows lie 512 or 256 bytes apart, so that two neighbours share
// their banks: shared memory is fast enough, and padding would take from the ring.
template <int kElementBytes, int kRows>
struct RowStage {
  static constexpr OperandType kOperand = OperandType::kBF16;
  static constexpr int kPitch = kRows == 1 && kElementBytes == 2 ? 512 : 256;  // bytes
  static constexpr int kStageColumns = kPitch / kElementBytes;
  static constexpr int kSpanColumns = 512 / kElementBytes;
  static constexpr int kStageBytes = kTileRows * kPitch;
  static constexpr int kRingStages = kRows == 1 || kElementBytes == 1 ? 3 : 4;
  static constexpr bool kMapped = true;

  __device__ static void copy(const StreamParams& p, Tile tile, int column, uint32_t to,
                              uint32_t barrier, uint64_t policy) {
    barrier_expect(barrier, kStageBytes);
    tensor_copy(to, &p.maps[tile.product], column * kElementBytes / 2, tile.row, barrier, policy);
  }
};

template <int kRows>
struct BF16Format : RowStage<2, kRows> {
  using Base = RowStage<2, kRows>;
  struct Scales {};
  __device__ static Scales scales(const StreamParams&, Tile, int) { return {}; }

  __device__ static void multiply(Sums (&sums)[2], const uint8_t* stage, int column,
                                  const StagedRows& x, Scales, int lane) {
    const uint8_t* low = stage + lane / 4 * Base::kPitch + lane % 4 * 16;
    const uint8_t* row = x.row + column * 2 + lane % 4 * 16;
#pragma unroll
    for (int step = 0; step < Base::kStageColumns / 32; ++step) {
      const uint4 a = *reinterpret_cast<const uint4*>(low + step * 64);
      const uint4 b = *reinterpret_cast<const uint4*>(low + 8 * Base::kPitch + step * 64);
      uint4 v = {0, 0, 0, 0};
      if (x.in_use) v = *reinterpret_cast<const uint4*>(row + step * 64);
      mma_bf16_k16(sums[step % 2], a.x, b.x, a.y, b.y, v.x, v.y);
      mma_bf16_k16(sums[step % 2], a.z, b.z, a.w, b.w, v.z, v.w);
    }
  }
};

// The products are of small weights and of enlarged x (ptx.cuh; |x| is below 2^27), which together
// are 2^-20 times too small.
template <int kRows>
struct F8Format : RowStage<1, kRows> {
  using Base = RowStage<1, kRows>;
  static constexpr int kBlocks = Base::kStageColumns / 128;
  struct Scales {
    float of_block[kBlocks];
  };

  // Ones if the products are scaled at the end.
  __device__ static Scales scales(const StreamParams& p, Tile tile, int column) {
    const StreamParams::Product& product = p.products[tile.product];
    const bool blocks = product.scales != nullptr && product.span == ScaleSpan::kBlock128;
    const int in_row = (p.inputs + 127) / 128;
    Scales result;
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      const int at = min(column / 128 + i, in_row - 1);
      const float scale = blocks ? product.scales[tile.row / 128 * in_row + at] : 1.0f;
      result.of_block[i] = scale * 0x1p20f;
    }
    return result;
  }

  __device__ static void multiply(Sums (&sums)[2], const uint8_t* stage, int column,
                                  const StagedRows& x, const Scales& scales, int lane) {
    const uint8_t* low = stage + lane / 4 * Base::kPitch + lane % 4 * 16;
    const uint8_t* row = x.row + column * 2 + lane % 4 * 32;
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      Sums block_sums[2] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int c = block * 128 + half * 64;
        const uint4 a = *reinterpret_cast<const uint4*>(low + c);
        const uint4 b = *reinterpret_cast<const uint4*>(low + 8 * Base::kPitch + c);
        uint4 v = {0, 0, 0, 0};
        uint4 w = {0, 0, 0, 0};
        if (x.in_use) {
          v = *reinterpret_cast<const uint4*>(row + c * 2);
          w = *reinterpret_cast<const uint4*>(row + c * 2 + 16);
        }
        multiply_four(block_sums[half], a.x, b.x, v.x, v.y);
        multiply_four(block_sums[half], a.y, b.y, v.z, v.w);
        multiply_four(block_sums[half], a.z, b.z, w.x, w.y);
        multiply_four(block_sums[half], a.w, b.w, w.z, w.w);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sums[block % 2][i] =
            fmaf(block_sums[0][i] + block_sums[1][i], scales.of_block[block], sums[block % 2][i]);
      }
    }
  }

 private:
  // Four weights of rows g and g + 8.
  __device__ static void multiply_four(Sums& sums, uint32_t a, uint32_t b, uint32_t x0,
                                       uint32_t x1) {
    mma_bf16_k16(sums, small_bf16_of_f8<0>(a), small_bf16_of_f8<0>(b), small_bf16_of_f8<1>(a),
                 small_bf16_of_f8<1>(b), enlarged_bf16(x0), enlarged_bf16(x1));
  }
};

// Layouts in tiles: a stage is some chunks, copied as they are.
template <Layout kLayout, int kRows>
struct TileFormat {
  static constexpr OperandType kOperand = OperandType::kInt8;
  static constexpr ChunkFormat kFormat = chunk_format(kLayout);
  static constexpr int kChunkBytes = kFormat.bytes();
  static constexpr int kChunks = 4;
  static constexpr int kStageColumns = kChunks * kChunkColumns;
  static constexpr int kSpanColumns = kStageColumns;
  static constexpr int kStageBytes = kChunks * kChunkBytes;
  static constexpr int kRingStages = 3;
  static constexpr bool kMapped = false;
  struct Scales {
    int chunks;  // of the stage: a row may end before
  };
  __device__ static Scales scales(const StreamParams& p, Tile, int column) {
    return {min(kChunks, (p.inputs - column) / kChunkColumns)};
  }

  __device__ static void copy(const StreamParams& p, Tile tile, int column, uint32_t to,
                              uint32_t barrier, uint64_t policy) {
    const int in_row = p.inputs / kChunkColumns;
    const int first = column / kChunkColumns;
    const auto bytes = static_cast<uint32_t>(min(kChunks, in_row - first) * kChunkBytes);
    const int64_t chunk = static_cast<int64_t>(tile.row / kTileRows) * in_row + first;
    barrier_expect(barrier, bytes);
    bulk_copy(to, p.products[tile.product].data + chunk * kChunkBytes, bytes, barrier, policy);
  }

  __device__ static void multiply(Sums (&sums)[2], const uint8_t* stage, int column,
                                  const StagedRows& x, Scales extent, int lane) {
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      if (chunk >= extent.chunks) break;
      multiply_chunk(sums[chunk % 2], stage + chunk * kChunkBytes, column + chunk * kChunkColumns,
                     x, lane);
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
  __device__ static void add_scaled(Sums& sums, const int (&product)[4], float low_scale,
                                    float high_scale, const float (&x_scales)[2]) {
    sums[0] = fmaf(low_scale * x_scales[0], static_cast<float>(product[0]), sums[0]);
    sums[2] = fmaf(high_scale * x_scales[0], static_cast<float>(product[2]), sums[2]);
    if constexpr (kRows > 1) {
      sums[1] = fmaf(low_scale * x_scales[1], static_cast<float>(product[1]), sums[1]);
      sums[3] = fmaf(high_scale * x_scales[1], static_cast<float>(product[3]), sums[3]);
    }
  }

  __device__ static void multiply_chunk(Sums& sums, const uint8_t* chunk, int column,
                                        const StagedRows& x, int lane) {
    uint32_t low[8], high[8];  // two words a group
    load_weights(chunk + lane * 16, low);
    load_weights(chunk + kFormat.weight_bytes / 2 + lane * 16, high);
    const uint8_t* scales = chunk + kFormat.weight_bytes;
#pragma unroll
    for (int group = 0; group < 4; ++group) {
      multiply_group(sums, low + 2 * group, high + 2 * group, scales, group, column + 32 * group, x,
                     lane);
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
  __device__ static void multiply_group(Sums& sums, const uint32_t* low, const uint32_t* high,
                                        const uint8_t* scales, int group, int column,
                                        const StagedRows& x, int lane) {
    OperandGroup of_x[2];
    of_x[0] = x.groups[0][column / 32];
    of_x[1] = kRows > 1 ? x.groups[1][column / 32] : of_x[0];
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
      add_scaled(sums, product, one_of(low_scales, first), one_of(high_scales, first), x_scales);
      int second[4] = {};
      mma_s8_k16(second, low[1], high[1], v1);
      add_scaled(sums, second, one_of(low_scales, first + 1), one_of(high_scales, first + 1),
                 x_scales);
    } else {
      uint2 v = {0, 0};
      if (x.in_use) v = *reinterpret_cast<const uint2*>(x.row + column + lane % 4 * 8);
      // Four bits are from 0 to 15: kInt4 takes 8 times the sum of x off.
      const int start0 = kLayout == Layout::kInt4 ? -8 * of_x[0].sum : 0;
      const int start1 = kLayout == Layout::kInt4 ? -8 * of_x[1].sum : 0;
      int product[4] = {start0, start1, start0, start1};
      mma_s8_k32(product, low[0], high[0], low[1], high[1], v.x, v.y);
      add_scaled(sums, product, one_of(four_halves(scales, lane, 0, 0), group),
                 one_of(four_halves(scales, lane, 8, 0), group), x_scales);
      if constexpr (kFormat.has_mins) {
        const uint8_t* mins = scales + kTileRows * kFormat.scales_per_row * 2;
        const int of_groups[4] = {of_x[0].sum, of_x[1].sum, of_x[0].sum, of_x[1].sum};
        add_scaled(sums, of_groups, one_of(four_halves(mins, lane, 0, 0), group),
                   one_of(four_halves(mins, lane, 8, 0), group), x_scales);
      }
    }
  }
};

}  // namespace hachi::ops::cuda
