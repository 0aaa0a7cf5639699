// Instructions of the GPU that CUDA C++ has no plain form for: barriers that count bytes, bulk
// copies into shared memory, products of small matrices, and the waiting of one kernel for another.
// Addresses of shared memory are 32 bits, as shared_address() gives them.
//
// Source: the PTX ISA manual; bulk copies and their barriers need sm_90.
#pragma once

#include <cstdint>

#include <cuda_fp16.h>

namespace hachi::ops::cuda {

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Barriers: each phase ends when `count` threads have arrived and all announced bytes have come.

__device__ inline void barrier_init(uint32_t barrier, uint32_t count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}

// Makes initialized barriers known to the copy engine.
__device__ inline void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// At the barrier that stands in the same place of another CTA of the cluster.
__device__ inline void barrier_arrive_at(uint32_t barrier, uint32_t cta) {
  asm volatile(
      "{\n.reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(barrier),
      "r"(cta)
      : "memory");
}

// Arrives, and announces bytes of copies.
__device__ inline void barrier_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

// Waits for the end of the phase with this parity: 0 for the first, then 1, 0, ... Of a new barrier
// the phase before the first, of parity 1, has ended.
__device__ inline void barrier_wait(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra end;\n"
      "bra again;\n"
      "end:\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Writes to where `to` stands in another CTA of the cluster, which counts the four bytes at its
// barrier.
__device__ inline void store_at(uint32_t to, float value, uint32_t barrier, uint32_t cta) {
  asm volatile(
      "{\n.reg .b32 there, counted;\n"
      "mapa.shared::cluster.u32 there, %0, %3;\n"
      "mapa.shared::cluster.u32 counted, %2, %3;\n"
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [there], %1, [counted];\n}" ::"r"(
          to),
      "r"(__float_as_uint(value)), "r"(barrier), "r"(cta)
      : "memory");
}

// Bulk copies: addresses and sizes are multiples of 16 bytes.

__device__ inline void bulk_copy(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

// For what is read once a step and is larger than the L2 cache.
__device__ inline uint64_t evict_first_policy() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

__device__ inline void bulk_copy(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier,
                                 uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
}

// A box of a matrix whose map (cuTensorMapEncodeTiled) says what its size is, from this column and
// row on; zeros where it goes over the matrix's edge, which count as copied.
__device__ inline void tensor_copy(uint32_t to, const void* map, int column, int row,
                                   uint32_t barrier, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".L2::cache_hint [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
      "l"(map), "r"(column), "r"(row), "r"(barrier), "l"(policy)
      : "memory");
}

// A box of panels, with a policy.
__device__ inline void panel_copy(uint32_t to, const void* map, int panel, int row,
                                  uint32_t barrier, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".L2::cache_hint [%0], [%1, {%2, %3, %4}], [%5], %6;" ::"r"(to),
      "l"(map), "r"(0), "r"(row), "r"(panel), "r"(barrier), "l"(policy)
      : "memory");
}

// The same of one of several matrices, or of panels (tensor_map.cuh), `matrix` the first.
__device__ inline void tensor_copy(uint32_t to, const void* map, int column, int row, int matrix,
                                   uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
      "l"(map), "r"(column), "r"(row), "r"(matrix), "r"(barrier)
      : "memory");
}

// A box of panels into the shared memory of each CTA of the cluster that has a bit in `ctas`, at
// the same place, where it counts at that CTA's barrier.
__device__ inline void panel_copy_to_all(uint32_t to, const void* map, int panel, int row,
                                         uint32_t barrier, uint16_t ctas) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3, %4}], [%5], %6;" ::"r"(to),
      "l"(map), "r"(0), "r"(row), "r"(panel), "r"(barrier), "h"(ctas)
      : "memory");
}

// Orders earlier accesses of global memory before bulk copies of it.
__device__ inline void bulk_copy_fence() { asm volatile("fence.proxy.async.global;" ::: "memory"); }

// Lets the next kernel of the stream start as soon as there is room for it.
__device__ inline void launch_dependents() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// Waits until the kernels before this one have ended and what they wrote can be seen.
__device__ inline void wait_for_earlier_kernels() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// Waits until all threads of the cluster are here; orders no memory, as cluster.sync() does. One
// that only arrives need not wait.
__device__ inline void cluster_arrive() {
  __syncwarp();  // what is aligned needs the warp's threads together
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
__device__ inline void cluster_wait_for_all() {
  cluster_arrive();
  asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
}

// c += a b. In lane 4g + t, `a` holds rows g (a0, a2) and g + 8 (a1, a3), b column g, and c rows g
// (c0, c1) and g + 8 (c2, c3) of columns 2t and 2t + 1. Any order of k will do that is the same for
// a and b.

__device__ inline void mma_bf16_k16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                    uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ inline void mma_f16_k16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                   uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ inline void mma_s8_k32(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                  uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Here `a` is a0 and a1 alone.
__device__ inline void mma_s8_k16(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t b0) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 "
      "{%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a0), "r"(a1), "r"(b0));
}

// Bytes 2 * kPair and 2 * kPair + 1 of `bytes`, e4m3, as two bf16 that are 2^-120 times as large:
// sign, exponent and mantissa are only moved to where bf16 has them. Exact but for NaN.
template <int kPair>
__device__ inline uint32_t small_bf16_of_f8(uint32_t bytes) {
  uint32_t extended;  // with its sign in the upper byte of each half
  asm("prmt.b32 %0, %1, 0, %2;" : "=r"(extended) : "r"(bytes), "n"(kPair == 0 ? 0x9180 : 0xb3a2));
  return (extended << 4) & 0x87f087f0u;
}

// Two bf16 times 2^100.
__device__ inline uint32_t enlarged_bf16(uint32_t pair) {
  uint32_t large;
  asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(large) : "r"(pair), "r"(0x71807180u));
  return large;
}

// The two f16 in a word.
__device__ inline float2 f16_pair(uint32_t bits) {
  return __half22float2(*reinterpret_cast<const __half2*>(&bits));
}

}  // namespace hachi::ops::cuda
