// A head of q or k in registers: norm and rotation. Four neighbouring lanes (a quad) hold a head:
// lane t the elements 32c + 8t + 0..7 of each chunk c of 32, which is how the matrix units take
// them if both factors of a product are so permuted.
#pragma once

#include "kernels/cuda/attention_device.cuh"

namespace hachi::ops::cuda::attend {

template <int kHeadDim>
struct QuadRow {
  static constexpr int kChunks = kHeadDim / 32;
  uint4 raw[kChunks];  // bf16

  __device__ void load(const __nv_bfloat16* head, int t) {
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      raw[c] = *reinterpret_cast<const uint4*>(head + 32 * c + 8 * t);
    }
  }
  __device__ void clear() {
#pragma unroll
    for (int c = 0; c < kChunks; ++c) raw[c] = make_uint4(0, 0, 0, 0);
  }
};

__device__ __forceinline__ void unpack(uint4 raw, float* x) {
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float2 two = bf16_pair(words[j]);
    x[2 * j] = two.x;
    x[2 * j + 1] = two.y;
  }
}

template <int kCount>
__device__ __forceinline__ void load_floats(const float* from, float* x) {
#pragma unroll
  for (int j = 0; j < kCount; j += 4) {
    const float4 four = *reinterpret_cast<const float4*>(from + j);
    x[j] = four.x, x[j + 1] = four.y, x[j + 2] = four.z, x[j + 3] = four.w;
  }
}

// x / sqrt(mean(x^2) + eps) * weight. All lanes of a quad take part.
template <int kHeadDim>
__device__ __forceinline__ void normalize(float* x, const float* weight, float eps, int t) {
  float squares = 0;
#pragma unroll
  for (int j = 0; j < kHeadDim / 4; ++j) squares += x[j] * x[j];
  squares += __shfl_xor_sync(kAllLanes, squares, 1);
  squares += __shfl_xor_sync(kAllLanes, squares, 2);
  const float factor = rsqrtf(squares / kHeadDim + eps);
#pragma unroll
  for (int c = 0; c < kHeadDim / 32; ++c) {
    float w[8];
    load_floats<8>(weight + 32 * c + 8 * t, w);
#pragma unroll
    for (int j = 0; j < 8; ++j) x[8 * c + j] *= factor * w[j];
  }
}

__device__ __forceinline__ void turn(float& a, float& b, float cos, float sin) {
  const float first = a * cos - b * sin;
  b = b * cos + a * sin;
  a = first;
}

// The angles of a lane's pairs: both layouts of pairs keep a pair within one lane.
template <int kHeadDim>
struct Angles {
  static constexpr int kHalf = kHeadDim / 64;  // chunks
  float cos[kHeadDim / 8], sin[kHeadDim / 8];

  __device__ void load(const float* cos_sin, bool interleaved, int t) {
    const float* sines = cos_sin + kHeadDim / 2;
    if (interleaved) {
#pragma unroll
      for (int c = 0; c < kHeadDim / 32; ++c) {
        load_floats<4>(cos_sin + 16 * c + 4 * t, cos + 4 * c);
        load_floats<4>(sines + 16 * c + 4 * t, sin + 4 * c);
      }
      return;
    }
#pragma unroll
    for (int c = 0; c < kHalf; ++c) {
      load_floats<8>(cos_sin + 32 * c + 8 * t, cos + 8 * c);
      load_floats<8>(sines + 32 * c + 8 * t, sin + 8 * c);
    }
  }
  __device__ void turn_pairs(float* x, bool interleaved) const {
    if (interleaved) {
#pragma unroll
      for (int i = 0; i < kHeadDim / 8; ++i) turn(x[2 * i], x[2 * i + 1], cos[i], sin[i]);
      return;
    }
#pragma unroll
    for (int i = 0; i < kHeadDim / 8; ++i) turn(x[i], x[i + 8 * kHalf], cos[i], sin[i]);
  }
};

// The head normed and rotated, and rounded as `rounded` does.
template <int kHeadDim, class Rounded, class Out>
__device__ __forceinline__ void prepare_head(const QuadRow<kHeadDim>& row, const float* weight,
                                             float eps, const Angles<kHeadDim>& angles,
                                             bool interleaved, int t, Rounded rounded, Out* out) {
  float x[kHeadDim / 4];
#pragma unroll
  for (int c = 0; c < kHeadDim / 32; ++c) unpack(row.raw[c], x + 8 * c);
  if (weight != nullptr) normalize<kHeadDim>(x, weight, eps, t);
  angles.turn_pairs(x, interleaved);
#pragma unroll
  for (int c = 0; c < kHeadDim / 32; ++c) out[c] = rounded(x + 8 * c);
}

}  // namespace hachi::ops::cuda::attend
