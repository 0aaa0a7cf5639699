// The kernel of batch_matmul.h. A CTA has 128 outputs, 16 a warp, and a part of the columns; the
// CTAs of a cluster have the parts of the same outputs, and add them in order at the end. Each warp
// copies its tile's chunks of 128 columns ahead and makes them the matrix unit's operand; one more
// warp copies x, as the unit takes it (attention_wgmma.cuh).
#pragma once

#include <cuda.h>

#include "kernels/cuda/batch_consume.cuh"
#include "kernels/cuda/batch_matmul.h"

namespace hachi::ops::cuda::batch {

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

// Copies x. One lane of its warp does this.
template <class S>
__device__ void produce(const Params& p, const Work& work, uint8_t* memory) {
  wait_for_earlier_kernels();
  bulk_copy_fence();
  for (int i = 0; i < work.end - work.begin; ++i) {
    const int slot = i % S::kStages;
    // Of a new barrier the phase before the first has ended.
    barrier_wait(S::x_empty(memory, slot), static_cast<uint32_t>(i / S::kStages + 1) & 1u);
    const uint32_t full = S::x_full(memory, slot);
    barrier_expect(full, S::kXBytes);
    tensor_copy(shared_address(memory + slot * S::kStageBytes), &p.x_map, 0, 0,
                (work.begin + i) * S::kBoxes, full);
  }
}

// The first chunk of a warp's tile; null if it has none.
__device__ inline const uint8_t* chunks_of(const Params& p, const Work& work, int warp,
                                           int chunk_bytes) {
  if (warp >= work.tiles) return nullptr;
  const int64_t tile = work.first / kTileRows + warp;
  return p.products[work.product].data +
         (tile * (p.inputs / kChunkColumns) + work.begin) * chunk_bytes;
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
__global__ void __launch_bounds__(kThreads, Shape<kLayout, kRows>::kCtas)
    batch_matmul_kernel(const __grid_constant__ Params p) {
  using S = Shape<kLayout, kRows>;
  extern __shared__ __align__(1024) uint8_t memory[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  launch_dependents();
  const Work work = work_of(p);
  float c[kRows / 2] = {};
  if (warp < kWarps) {
    const int count = work.end - work.begin;
    const ChunkRing<S> ring(memory, chunks_of(p, work, warp, S::kFormat.bytes()), count, warp,
                            lane);
    __syncthreads();
    consume<S, kLayout>(ring, count, memory, lane, c);
  } else {
    if (lane == 0) {
      for (int i = 0; i < S::kStages; ++i) {
        barrier_init(S::x_full(memory, i), 1);
        barrier_init(S::x_empty(memory, i), kWarps);
      }
      barrier_init_fence();
    }
    __syncthreads();
    if (lane == 0) produce<S>(p, work, memory);
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
