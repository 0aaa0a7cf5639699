// Products of the matrix unit for strips of outputs: c [64,N] = or += a [64,K] b [N,K]^T for 32
// bytes of a row, bf16 or e4m3, both in shared memory as attention_wgmma.cuh says, whose fences and
// waits go with them.
#pragma once

#include "kernels/cuda/attention_wgmma.cuh"

namespace hachi::ops::cuda::strip {

#define HACHI_NAMES_16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define HACHI_NAMES_24 HACHI_NAMES_16 ",%16,%17,%18,%19,%20,%21,%22,%23"
#define HACHI_NAMES_48 \
  HACHI_NAMES_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
// ORDER: that a row's elements lie one behind the other, which e4m3 has no choice of.
#define HACHI_STRIP_MMA(SHAPE, ORDER, NAMES, A, B, ADD, ...)                                     \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " ADD                                           \
               ", 0;\n"                                                                          \
               "wgmma.mma_async.sync.aligned." SHAPE " {" NAMES "}, " A ", " B ", p, 1, 1" ORDER \
               ";\n}"                                                                            \
               : __VA_ARGS__                                                                     \
               : "l"(a), "l"(b), "r"(add))
#define HACHI_STRIP_MULTIPLY(N, COUNT, NAMES, A, B, ADD, ...)                                   \
  template <bool kIsF8>                                                                         \
  __device__ __forceinline__ void multiply(float(&c)[COUNT], uint64_t a, uint64_t b, int add) { \
    if constexpr (kIsF8) {                                                                      \
      HACHI_STRIP_MMA("m64n" N "k32.f32.e4m3.e4m3", "", NAMES, A, B, ADD, __VA_ARGS__);         \
    } else {                                                                                    \
      HACHI_STRIP_MMA("m64n" N "k16.f32.bf16.bf16", ", 0, 0", NAMES, A, B, ADD, __VA_ARGS__);   \
    }                                                                                           \
  }

HACHI_STRIP_MULTIPLY("32", 16, HACHI_NAMES_16, "%16", "%17", "%18", HACHI_8(c, 0), HACHI_8(c, 8))
HACHI_STRIP_MULTIPLY("48", 24, HACHI_NAMES_24, "%24", "%25", "%26", HACHI_8(c, 0), HACHI_8(c, 8),
                     HACHI_8(c, 16))
HACHI_STRIP_MULTIPLY("64", 32, HACHI_NAMES_32, "%32", "%33", "%34", HACHI_32(c, 0))
HACHI_STRIP_MULTIPLY("96", 48, HACHI_NAMES_48, "%48", "%49", "%50", HACHI_32(c, 0), HACHI_8(c, 32),
                     HACHI_8(c, 40))

}  // namespace hachi::ops::cuda::strip
