// The kernel of batch_matmul.h. A CTA has 128 outputs, 16 a warp, and a part of the columns; the
// CTAs of a cluster have the parts of the same outputs, and add them in order at the end. One more
// warp fills a ring of stages: the tiles' chunks of 128 columns, and x's columns, as the matrix
// unit takes them (attention_wgmma.cuh). Weights go from there through registers, x straight to the
// unit.
#pragma once

#include <cuda.h>

#include "kernels/cuda/attention_wgmma.cuh"
#include "kernels/cuda/batch_matmul.h"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/small_device.cuh"
#include "kernels/cuda/tile_format.h"

namespace hachi::ops::cuda::batch {

inline constexpr int kWarps = 8;  // that multiply
inline constexpr int kThreads = 32 * (kWarps + 1);
inline constexpr int kTileOutputs = kWarps * kTileRows;
inline constexpr int kMaxParts = 8;
inline constexpr int kBoxColumns = 64;  // of x, 128 bytes
inline constexpr int kBoxes = kChunkColumns / kBoxColumns;
inline constexpr int kSumsPitch = kTileOutputs + 4;  // floats, so that lanes meet other banks
inline constexpr int kRingBytes = 104 * 1024;        // two CTAs share a multiprocessor

struct Params {
  CUtensorMap x_map;  // of x [T,I]; rows that are not there read as zeros
  struct Product {
    const uint8_t* data;
    void* y;
    int outputs;
    int tiles;  // of kTileOutputs, the last perhaps not full
  };
  Product products[BatchMatmul::kMaxProducts];
  int rows;
  int inputs;
  int parts;  // of the columns; the size of a cluster
  bool add;
  bool y_is_bf16;
  int64_t y_stride;
};

template <Layout kLayout, int kRows>
struct Shape {
  static constexpr ChunkFormat kFormat = chunk_format(kLayout);
  static constexpr int kBoxBytes = kRows * kBoxColumns * 2;
  static constexpr int kXBytes = kBoxes * kBoxBytes;
  static constexpr int kStageBytes = kXBytes + kWarps * kFormat.bytes();
  static constexpr int kStages = kRingBytes / kStageBytes;
  static constexpr int kBarriers = kStages * kStageBytes;  // where they stand
  static constexpr int kSharedBytes = kBarriers + 2 * kStages * 8;
  static_assert(kStageBytes % 1024 == 0 && kStages >= 3);
  static_assert(kRows * kSumsPitch * 4 <= kBarriers);
};

// What a CTA does.
struct Work {
  int product;
  int first;  // output
  int tiles;  // of 16 outputs
  int begin;  // stages, of kChunkColumns
  int end;
};

__device__ inline Work work_of(const Params& p) {
  int tile = static_cast<int>(blockIdx.x) / p.parts;
  const int part = static_cast<int>(blockIdx.x) % p.parts;
  int product = 0;
  while (tile >= p.products[product].tiles) tile -= p.products[product++].tiles;
  const int first = tile * kTileOutputs;
  const int stages = p.inputs / kChunkColumns;
  return {product, first, min(kWarps, (p.products[product].outputs - first) / kTileRows),
          part * stages / p.parts, (part + 1) * stages / p.parts};
}

// c [64,kRows] += a [64,16] b [kRows,16]^T, a in registers.
__device__ __forceinline__ void multiply(float (&c)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" HACHI_NAMES_32
               "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 0;"
               : HACHI_32(c, 0)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void multiply(float (&c)[16], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19}, %20, 1, 1, 1, 0;"
      : HACHI_8(c, 0), HACHI_8(c, 8)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// One lane's weights of a half of a chunk, two groups of 32 columns: rows g and g + 8 of its tile.
template <Layout kLayout>
struct HalfChunk {
  static constexpr ChunkFormat kFormat = chunk_format(kLayout);
  static constexpr int kScales = kFormat.scales_per_row / 2;
  uint32_t words[2][4];  // four weights each
  float scales[2][kScales];
  float mins[2][kScales];

  __device__ __forceinline__ HalfChunk(const uint8_t* chunk, int half, int lane) {
#pragma unroll
    for (int high = 0; high < 2; ++high) {
      const uint8_t* weights = chunk + high * (kFormat.weight_bytes / 2) + lane * 16;
      if constexpr (kFormat.weight_bytes == 1024) {
        const uint2 both = *reinterpret_cast<const uint2*>(weights + half * 8);
        words[high][0] = both.x & 0x0f0f0f0fu;
        words[high][1] = both.x >> 4 & 0x0f0f0f0fu;
        words[high][2] = both.y & 0x0f0f0f0fu;
        words[high][3] = both.y >> 4 & 0x0f0f0f0fu;
      } else {
        const uint4 all = *reinterpret_cast<const uint4*>(weights + half * 512);
        words[high][0] = all.x;
        words[high][1] = all.y;
        words[high][2] = all.z;
        words[high][3] = all.w;
      }
      const int row = lane / 4 + high * 8;
      read(scales[high], chunk + scale_place(kFormat, row, half * kScales));
      if constexpr (kFormat.has_mins) {
        read(mins[high], chunk + min_place(kFormat, row, half * kScales));
      }
    }
  }

  // The matrix unit's a for 16 columns of the 64.
  __device__ __forceinline__ void operand(int step, uint32_t (&a)[4]) const {
#pragma unroll
    for (int high = 0; high < 2; ++high) {
      const int scale = kScales == 4 ? step : step / 2;
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) {
        const float low = value(words[high][step], 2 * pair, high, scale);
        const float next = value(words[high][step], 2 * pair + 1, high, scale);
        a[2 * pair + high] = small::pack_bf16(low, next);
      }
    }
  }

 private:
  __device__ static __forceinline__ void read(float (&to)[kScales], const uint8_t* halves) {
#pragma unroll
    for (int i = 0; i < kScales; i += 2) {
      const float2 pair = f16_pair(*reinterpret_cast<const uint32_t*>(halves + 2 * i));
      to[i] = pair.x;
      to[i + 1] = pair.y;
    }
  }

  // Byte `index` stands at the end of the fraction of 2^23, and is a float when that is taken off.
  __device__ __forceinline__ float value(uint32_t word, int index, int high, int scale) const {
    constexpr bool kSigned = kFormat.weight_bytes == 2048;
    constexpr float kOffset = kSigned ? 128 : kLayout == Layout::kInt4 ? 8 : 0;
    if (kSigned) word ^= 0x80808080u;
    const float q =
        __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7540u + index)) - (8388608.0f + kOffset);
    if constexpr (kFormat.has_mins) return fmaf(q, scales[high][scale], mins[high][scale]);
    return q * scales[high][scale];
  }
};

// Fills the ring. One lane of its warp does this.
template <class S>
__device__ void produce(const Params& p, const Work& work, uint8_t* memory, uint32_t barriers) {
  const uint64_t policy = evict_first_policy();
  const uint8_t* data = p.products[work.product].data;
  const int chunks_in_row = p.inputs / kChunkColumns;
  const int64_t first_tile = work.first / kTileRows;
  const auto full = [&](int slot) { return barriers + static_cast<uint32_t>(slot) * 8; };
  const auto empty = [&](int slot) { return full(S::kStages + slot); };
  const auto copy_weights = [&](int stage, int slot) {
    const auto bytes = static_cast<uint32_t>(work.tiles * S::kFormat.bytes() + S::kXBytes);
    barrier_expect(full(slot), bytes);
    uint8_t* to = memory + slot * S::kStageBytes + S::kXBytes;
    for (int t = 0; t < work.tiles; ++t) {
      const int64_t chunk = (first_tile + t) * chunks_in_row + stage;
      bulk_copy(shared_address(to + t * S::kFormat.bytes()), data + chunk * S::kFormat.bytes(),
                S::kFormat.bytes(), full(slot), policy);
    }
  };
  const auto copy_x = [&](int stage, int slot) {
    for (int box = 0; box < kBoxes; ++box) {
      tensor_copy(shared_address(memory + slot * S::kStageBytes + box * S::kBoxBytes), &p.x_map,
                  stage * kChunkColumns + box * kBoxColumns, 0, full(slot));
    }
  };
  const int count = work.end - work.begin;
  for (int i = 0; i < min(count, S::kStages); ++i) copy_weights(work.begin + i, i);
  wait_for_earlier_kernels();
  bulk_copy_fence();
  for (int i = 0; i < min(count, S::kStages); ++i) copy_x(work.begin + i, i);
  for (int i = S::kStages; i < count; ++i) {
    const int slot = i % S::kStages;
    barrier_wait(empty(slot), static_cast<uint32_t>(i / S::kStages + 1) & 1u);
    copy_weights(work.begin + i, slot);
    copy_x(work.begin + i, slot);
  }
}

// Sums of 16 outputs of a warp: in c[4j + i], output lane / 4 + i / 2 * 8 of row
// 8j + lane % 4 * 2 + i % 2.
template <class S, Layout kLayout, int kSums>
__device__ __forceinline__ void consume(const Work& work, const uint8_t* memory, uint32_t barriers,
                                        int warp, int lane, float (&c)[kSums]) {
  const int count = work.end - work.begin;
  uint32_t a[2][4][4];
  for (int i = 0; i < count; ++i) {
    const int slot = i % S::kStages;
    const uint8_t* stage = memory + slot * S::kStageBytes;
    barrier_wait(barriers + static_cast<uint32_t>(slot) * 8,
                 static_cast<uint32_t>(i / S::kStages) & 1u);
    const uint8_t* chunk = stage + S::kXBytes + warp * S::kFormat.bytes();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const HalfChunk<kLayout> weights(chunk, half, lane);
      attend::mma_wait<1>();  // the unit has read a[half]
      if (half == 1 && i > 0 && lane == 0) {
        const int before = (i - 1) % S::kStages;
        barrier_arrive(barriers + static_cast<uint32_t>(S::kStages + before) * 8);
      }
#pragma unroll
      for (int step = 0; step < 4; ++step) weights.operand(step, a[half][step]);
      __syncwarp();
      attend::mma_fence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        const uint32_t x = shared_address(stage + half * S::kBoxBytes) + 32u * step;
        multiply(c, a[half][step], attend::descriptor(x, 0));
      }
      attend::mma_commit();
    }
  }
  attend::mma_wait<0>();
  attend::pin(c);
}

__device__ inline void cluster_barrier() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
}

// Four floats of the shared memory of another CTA of the cluster.
__device__ inline float4 read_cluster(uint32_t address, uint32_t rank) {
  float4 v;
  asm volatile(
      "{\n.reg .u32 there;\n"
      "mapa.shared::cluster.u32 there, %4, %5;\n"
      "ld.shared::cluster.v4.f32 {%0,%1,%2,%3}, [there];\n}"
      : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
      : "r"(address), "r"(rank)
      : "memory");
  return v;
}

// Adds the parts' sums [kRows, 128] in order, each CTA for some of the rows, and writes y.
template <int kRows>
__device__ void finish(const Params& p, const Work& work, const float* sums) {
  const Params::Product& product = p.products[work.product];
  const int part = static_cast<int>(blockIdx.x) % p.parts;
  const int rows = kRows / p.parts;
  constexpr int kQuads = kTileOutputs / 4;
  for (int i = static_cast<int>(threadIdx.x); i < rows * kQuads; i += kThreads) {
    const int row = part * rows + i / kQuads;
    const int output = i % kQuads * 4;
    if (row >= p.rows || work.first + output >= product.outputs) continue;
    const uint32_t from = shared_address(sums + row * kSumsPitch + output);
    float4 sum = {};
    for (int k = 0; k < p.parts; ++k) {
      const float4 more = read_cluster(from, static_cast<uint32_t>(k));
      sum = {sum.x + more.x, sum.y + more.y, sum.z + more.z, sum.w + more.w};
    }
    const int64_t at = row * p.y_stride + work.first + output;
    if (p.y_is_bf16) {
      const uint2 both = {small::pack_bf16(sum.x, sum.y), small::pack_bf16(sum.z, sum.w)};
      *reinterpret_cast<uint2*>(static_cast<__nv_bfloat16*>(product.y) + at) = both;
    } else {
      auto* y = reinterpret_cast<float4*>(static_cast<float*>(product.y) + at);
      if (p.add) {
        const float4 old = *y;
        sum = {sum.x + old.x, sum.y + old.y, sum.z + old.z, sum.w + old.w};
      }
      *y = sum;
    }
  }
}

template <Layout kLayout, int kRows>
__global__ void __launch_bounds__(kThreads, 2)
    batch_matmul_kernel(const __grid_constant__ Params p) {
  using S = Shape<kLayout, kRows>;
  extern __shared__ __align__(1024) uint8_t memory[];
  const uint32_t barriers = shared_address(memory + S::kBarriers);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  launch_dependents();
  if (threadIdx.x == 0) {
    for (int i = 0; i < S::kStages; ++i) {
      barrier_init(barriers + static_cast<uint32_t>(i) * 8, 1);
      barrier_init(barriers + static_cast<uint32_t>(S::kStages + i) * 8, kWarps);
    }
    barrier_init_fence();
  }
  __syncthreads();
  const Work work = work_of(p);
  float c[kRows / 2] = {};
  if (warp < kWarps) {
    consume<S, kLayout>(work, memory, barriers, warp, lane, c);
  } else if (lane == 0) {
    produce<S>(p, work, memory, barriers);
  }
  __syncthreads();  // all stages have been read
  auto* sums = reinterpret_cast<float*>(memory);
  if (warp < kWarps) {
#pragma unroll
    for (int i = 0; i < kRows / 2; ++i) {
      const int row = i / 4 * 8 + lane % 4 * 2 + i % 2;
      sums[row * kSumsPitch + warp * kTileRows + lane / 4 + i % 4 / 2 * 8] = c[i];
    }
  }
  cluster_barrier();
  wait_for_earlier_kernels();
  finish<kRows>(p, work, sums);
  cluster_barrier();  // the others have read this CTA's sums
}

}  // namespace hachi::ops::cuda::batch
