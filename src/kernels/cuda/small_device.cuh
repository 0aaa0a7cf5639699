// What the small ops and the products by cuBLASLt share: how a kernel
// begins, and rows that are read and written eight elements at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cuda_runtime.h>

#include <cuda_bf16.h>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

namespace hachi::ops::cuda::small {

inline constexpr int kVector = 8;  // elements that a thread takes at once: 16 bytes of bf16
inline constexpr int kWarp = 32;

// Lets the next kernel be launched, and waits for those before: no activation is read or written
// earlier.
__device__ __forceinline__ void begin() {
  launch_dependents();
  wait_for_earlier_kernels();
}

// Rows as a kernel takes them.
struct View {
  void* data;
  int64_t stride;
  DType type;
  bool wide;  // each vector of a row lies on 16 bytes
};

// `width` divides into vectors each part of a row that is taken by itself.
inline View view(const Rows& rows, int64_t width) {
  CHECK(rows.type == DType::kF32 || rows.type == DType::kBF16);
  const int64_t bytes = rows.type == DType::kF32 ? 4 : 2;
  const auto address = reinterpret_cast<uintptr_t>(rows.data);
  const bool wide = address % 16 == 0 && rows.stride * bytes % 16 == 0 && width % kVector == 0;
  return {rows.data, rows.stride, rows.type, wide};
}

__device__ __forceinline__ void load_f32(const float* from, bool wide, int count,
                                         float (&v)[kVector]) {
  if (wide) {
    *reinterpret_cast<float4*>(v) = *reinterpret_cast<const float4*>(from);
    *reinterpret_cast<float4*>(v + 4) = *reinterpret_cast<const float4*>(from + 4);
  } else {
#pragma unroll
    for (int k = 0; k < kVector; ++k) v[k] = k < count ? from[k] : 0.0f;
  }
}

// A vector as it lies in memory: eight f32, or eight bf16 in the first half. Those of several rows
// are read before the first is made into floats, so that the reads wait together.
struct Raw {
  uint4 halves[2];
};

// The vector that begins `first` elements into the rows; zero from `count` on.
__device__ __forceinline__ Raw load_raw(const View& rows, int64_t first, int count) {
  Raw raw{};
  const auto* from = static_cast<const uint8_t*>(rows.data);
  if (rows.type == DType::kF32) {
    from += first * 4;
    if (rows.wide) {
      raw.halves[0] = *reinterpret_cast<const uint4*>(from);
      raw.halves[1] = *reinterpret_cast<const uint4*>(from + 16);
    } else {
      auto* words = reinterpret_cast<uint32_t*>(raw.halves);
#pragma unroll
      for (int k = 0; k < kVector; ++k) {
        if (k < count) words[k] = reinterpret_cast<const uint32_t*>(from)[k];
      }
    }
  } else {
    from += first * 2;
    if (rows.wide) {
      raw.halves[0] = *reinterpret_cast<const uint4*>(from);
    } else {
      auto* words = reinterpret_cast<uint32_t*>(raw.halves);
#pragma unroll
      for (int k = 0; k < kVector; ++k) {
        const uint32_t bits = k < count ? reinterpret_cast<const uint16_t*>(from)[k] : 0;
        words[k / 2] |= bits << (16 * (k % 2));
      }
    }
  }
  return raw;
}

__device__ __forceinline__ void to_floats(const Raw& raw, DType type, float (&v)[kVector]) {
  const uint32_t words[kVector] = {raw.halves[0].x, raw.halves[0].y, raw.halves[0].z,
                                   raw.halves[0].w, raw.halves[1].x, raw.halves[1].y,
                                   raw.halves[1].z, raw.halves[1].w};
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    const uint32_t pair = words[k / 2];
    const uint32_t bf16 = k % 2 == 0 ? pair << 16 : pair & 0xffff0000u;
    v[k] = __uint_as_float(type == DType::kF32 ? words[k] : bf16);
  }
}

__device__ __forceinline__ void load(const View& rows, int64_t first, int count,
                                     float (&v)[kVector]) {
  to_floats(load_raw(rows, first, count), rows.type, v);
}

__device__ __forceinline__ void load_pair(const View& rows, int64_t first, int64_t second,
                                          int count, float (&a)[kVector], float (&b)[kVector]) {
  const Raw raw_a = load_raw(rows, first, count);
  const Raw raw_b = load_raw(rows, second, count);
  to_floats(raw_a, rows.type, a);
  to_floats(raw_b, rows.type, b);
}

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
}

__device__ __forceinline__ void store(const View& rows, int64_t first, int count,
                                      const float (&v)[kVector]) {
  if (rows.type == DType::kF32) {
    auto* to = static_cast<float*>(rows.data) + first;
    if (rows.wide) {
      *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
      *reinterpret_cast<float4*>(to + 4) = make_float4(v[4], v[5], v[6], v[7]);
    } else {
#pragma unroll
      for (int k = 0; k < kVector; ++k) {
        if (k < count) to[k] = v[k];
      }
    }
    return;
  }
  auto* to = static_cast<__nv_bfloat16*>(rows.data) + first;
  if (rows.wide) {
    *reinterpret_cast<uint4*>(to) = make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]),
                                               pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
  } else {
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      if (k < count) to[k] = __float2bfloat16_rn(v[k]);
    }
  }
}

// act(gate) * up. Both activations are gate / (1 + exp(-u)): with u = gate it is silu, and with
// u = 2 sqrt(2/pi) (gate + 0.044715 gate^3) gelu in its tanh form, as 1 + tanh(a) is
// 2 / (1 + exp(-2 a)).
__device__ __forceinline__ float gated_value(float gate, float up, bool gelu) {
  const float u = gelu ? 1.5957691216f * (gate + 0.044715f * gate * gate * gate) : gate;
  return __fdividef(gate, 1.0f + expf(-u)) * up;
}

// Threads of a block that take a row of `width`, a vector each, all of it at once if they can.
inline int row_threads(int64_t width, int most) {
  const int64_t vectors = (width + kVector - 1) / kVector;
  const int64_t threads = (vectors + kWarp - 1) / kWarp * kWarp;
  return static_cast<int>(std::min<int64_t>(threads, most));
}

}  // namespace hachi::ops::cuda::small
