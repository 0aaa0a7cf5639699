// Hopper's matrix unit for four warps, and the copies that feed it.
//
// Operands in shared memory are matrices of 128-byte rows (64 elements), 8 rows after each other,
// in which the 16-byte unit u of row r stands at u ^ (r % 8); a row of 128 elements is two such
// matrices. Source: PTX ISA, "Asynchronous warpgroup level matrix instructions".
#pragma once

#include "kernels/cuda/attention_device.cuh"

namespace hachi::ops::cuda::attend {

// Where the 16-byte unit `u` of a row of 64 elements stands.
__device__ __forceinline__ int swizzled(int row, int u) {
  return row * 128 + ((u ^ (row % 8)) << 4);
}

// A matrix from `address` on. `far` is the step to the next 64 elements of a row; products along
// the rows do not use it.
__device__ __forceinline__ uint64_t descriptor(uint32_t address, int far) {
  constexpr uint64_t kEightRows = 1024 / 16, kSwizzle128 = 1;
  return static_cast<uint64_t>((address & 0x3ffff) >> 4) |
         static_cast<uint64_t>((far & 0x3ffff) >> 4) << 16 | kEightRows << 32 | kSwizzle128 << 62;
}

__device__ __forceinline__ void mma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void mma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until at most kPending groups of products are under way.
template <int kPending>
__device__ __forceinline__ void mma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from moving uses of accumulators across the start or the end of a product.
template <int kCount>
__device__ __forceinline__ void pin(float (&x)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(x[i])::"memory");
}

#define HACHI_8(x, i)                                                                         \
  "+f"(x[i]), "+f"(x[i + 1]), "+f"(x[i + 2]), "+f"(x[i + 3]), "+f"(x[i + 4]), "+f"(x[i + 5]), \
      "+f"(x[i + 6]), "+f"(x[i + 7])
#define HACHI_32(x, i) HACHI_8(x, i), HACHI_8(x, i + 8), HACHI_8(x, i + 16), HACHI_8(x, i + 24)
#define HACHI_NAMES_32                                                                             \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25," \
  "%26,%27,%28,%29,%30,%31"
#define HACHI_NAMES_64                                                                        \
  HACHI_NAMES_32                                                                              \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53," \
  "%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define HACHI_NAMES_96                                                                        \
  HACHI_NAMES_64                                                                              \
  ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85," \
  "%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"

// c [64,N] = or += a [64,16] b [N,16]^T, both in shared memory.
#define HACHI_MMA_SHARED_128(TYPE)                                                     \
  asm volatile(                                                                        \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"                                     \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " {" HACHI_NAMES_64 \
      "}, %64, %65, p, 1, 1, 0, 0;\n}"                                                 \
      : HACHI_32(c, 0), HACHI_32(c, 32)                                                \
      : "l"(a), "l"(b), "r"(add))
#define HACHI_MMA_SHARED_64(TYPE)                                                     \
  asm volatile(                                                                       \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"                                    \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " {" HACHI_NAMES_32 \
      "}, %32, %33, p, 1, 1, 0, 0;\n}"                                                \
      : HACHI_32(c, 0)                                                                \
      : "l"(a), "l"(b), "r"(add))
// c [64,N] += a [64,16] b [16,N], a in registers, b's rows along its columns.
#define HACHI_MMA_REGISTERS_128(TYPE)                                                           \
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " {" HACHI_NAMES_64 \
               "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"                                         \
               : HACHI_32(c, 0), HACHI_32(c, 32)                                                \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define HACHI_MMA_REGISTERS_64(TYPE)                                                           \
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " {" HACHI_NAMES_32 \
               "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 1;"                                        \
               : HACHI_32(c, 0)                                                                \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

template <bool kBf16>
__device__ __forceinline__ void mma_shared(float (&c)[64], uint64_t a, uint64_t b, int add) {
  if constexpr (kBf16) {
    HACHI_MMA_SHARED_128("bf16");
  } else {
    HACHI_MMA_SHARED_128("f16");
  }
}
template <bool kBf16>
__device__ __forceinline__ void mma_shared(float (&c)[32], uint64_t a, uint64_t b, int add) {
  if constexpr (kBf16) {
    HACHI_MMA_SHARED_64("bf16");
  } else {
    HACHI_MMA_SHARED_64("f16");
  }
}
template <bool kBf16>
__device__ __forceinline__ void mma_registers(float (&c)[64], const uint32_t (&a)[4], uint64_t b) {
  if constexpr (kBf16) {
    HACHI_MMA_REGISTERS_128("bf16");
  } else {
    HACHI_MMA_REGISTERS_128("f16");
  }
}
template <bool kBf16>
__device__ __forceinline__ void mma_registers(float (&c)[32], const uint32_t (&a)[4], uint64_t b) {
  if constexpr (kBf16) {
    HACHI_MMA_REGISTERS_64("bf16");
  } else {
    HACHI_MMA_REGISTERS_64("f16");
  }
}

// What ordinary stores, and copies of 16 bytes, have put into shared memory, the matrix unit sees.
__device__ __forceinline__ void show_to_matrix_unit() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
// Zeros in place of bytes that are not `there`.
__device__ __forceinline__ void copy_16(uint32_t to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void copy_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
__device__ __forceinline__ void copy_wait() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

}  // namespace hachi::ops::cuda::attend
