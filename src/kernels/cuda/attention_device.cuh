// What the kernels of attention have in common on the device: instructions that C++ has no words
// for, and the types of the cache as the matrix units take them.
#pragma once

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/ptx.cuh"

namespace hachi::ops::cuda::attend {

inline constexpr int kPage = 32;  // kPagePositions
inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr float kNone = -INFINITY;  // the score of a position that is not seen

__device__ __forceinline__ void group_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ void barrier_make(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t phase) {
  asm volatile(
      "{\n.reg .pred done;\nAGAIN:\n"
      "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra AGAIN;\n}" ::"r"(barrier),
      "r"(phase)
      : "memory");
}

// Of an 8x8 matrix of 16-bit elements, two neighbours of a row in each lane.
__device__ __forceinline__ uint32_t transpose(uint32_t pair) {
  uint32_t out;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(pair));
  return out;
}

template <class To>
__device__ __forceinline__ uint32_t bits(To pair) {
  static_assert(sizeof(To) == 4);
  return *reinterpret_cast<uint32_t*>(&pair);
}
__device__ __forceinline__ float2 bf16_pair(uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}
__device__ __forceinline__ uint32_t to_bf16_pair(float a, float b) {
  return bits(__floats2bfloat162_rn(a, b));
}

// Elements in words of 32 bits, loaded and stored at once.
template <int kCount>
struct alignas(4 * kCount) Words {
  uint32_t w[kCount];
};

// Types of the cache, and how the matrix units take them, which multiply bf16 or f16.
struct Bf16Cache {
  static constexpr DType kType = DType::kBF16;
  static constexpr int kBytes = 2;
  static __device__ uint32_t word(float a, float b) { return to_bf16_pair(a, b); }
  static __device__ void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                             uint32_t b0, uint32_t b1) {
    mma_bf16_k16(c, a0, a1, a2, a3, b0, b1);
  }
};

struct F16Cache {
  static constexpr DType kType = DType::kF16;
  static constexpr int kBytes = 2;
  static __device__ uint32_t word(float a, float b) { return bits(__floats2half2_rn(a, b)); }
  static __device__ void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                             uint32_t b0, uint32_t b1) {
    mma_f16_k16(c, a0, a1, a2, a3, b0, b1);
  }
};

// e4m3 becomes f16, which holds all of its values.
struct F8Cache : F16Cache {
  static constexpr DType kType = DType::kF8E4M3;
  static constexpr int kBytes = 1;
  static __device__ uint32_t widen(uint32_t two) {
    uint32_t out;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(out) : "h"(static_cast<uint16_t>(two)));
    return out;
  }
  static __device__ uint32_t narrow(float a, float b) {  // saturates
    uint16_t out;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(out) : "f"(b), "f"(a));
    return out;
  }
};

// kCount elements as they are stored, and as the matrix units take them.
template <class Cache, int kCount>
using Raw = Words<kCount * Cache::kBytes / 4>;

template <class Cache, int kCount>
__device__ __forceinline__ Words<kCount / 2> widened(const Raw<Cache, kCount>& raw) {
  if constexpr (Cache::kBytes == 2) {
    return raw;
  } else {
    Words<kCount / 2> out;
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) out.w[i] = Cache::widen(raw.w[i / 2] >> (i % 2 * 16));
    return out;
  }
}
template <class Cache, int kCount>
__device__ __forceinline__ Words<kCount / 2> rounded(const float* x) {
  Words<kCount / 2> out;
#pragma unroll
  for (int i = 0; i < kCount / 2; ++i) out.w[i] = Cache::word(x[2 * i], x[2 * i + 1]);
  return out;
}
template <class Cache, int kCount>
__device__ __forceinline__ Raw<Cache, kCount> stored(const float* x) {
  if constexpr (Cache::kBytes == 2) {
    return rounded<Cache, kCount>(x);
  } else {
    Raw<Cache, kCount> out;
#pragma unroll
    for (int i = 0; i < kCount / 4; ++i) {
      const float* four = x + 4 * i;
      out.w[i] = Cache::narrow(four[0], four[1]) | Cache::narrow(four[2], four[3]) << 16;
    }
    return out;
  }
}

// The first byte of a head's page.
template <class Byte>
__device__ __forceinline__ Byte* page_of(Byte* cache, const KvPages& kv, int page, int64_t head,
                                         int64_t head_bytes) {
  return cache + page * kv.page_bytes + head * head_bytes;
}

// Blocks of many tokens that CTAs have taken, beside their first ones: zero before a call.
__device__ __forceinline__ int* turns_of(const Attention& args) {
  return static_cast<int*>(args.workspace);
}

// The first position that a token at `position` sees.
__device__ __forceinline__ int first_seen(int position, int64_t window) {
  return window > 0 && position >= window ? static_cast<int>(position - window + 1) : 0;
}

}  // namespace hachi::ops::cuda::attend
