// A head of q or k in registers: norm and rotation. Four neighbouring lanes (a quad) hold a head in
// units: of each chunk of four units, lane t has unit t. The matrix units take elements in this
// order if both factors of a product have it.
#pragma once

#include "kernels/cuda/attention_device.cuh"

namespace hachi::ops::cuda::attend {

// Elements of a unit: so many that both elements of a pair that turns are one lane's.
template <int kHeadDim>
inline constexpr int kUnit = kHeadDim % 64 == 0 ? 8 : 4;

template <int kHeadDim>
struct QuadRow {
  static constexpr int kOwn = kUnit<kHeadDim>;
  static constexpr int kChunks = kHeadDim / (4 * kOwn);
  Words<kOwn / 2> raw[kChunks];  // bf16

  // Where a lane's unit of a chunk begins.
  __device__ static int at(int chunk, int t) { return (4 * chunk + t) * kOwn; }

  __device__ void load(const __nv_bfloat16* head, int t) {
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      raw[c] = *reinterpret_cast<const Words<kOwn / 2>*>(head + at(c, t));
    }
  }
  __device__ void clear() {
#pragma unroll
    for (int c = 0; c < kChunks; ++c) raw[c] = {};
  }
};

template <int kCount>
__device__ __forceinline__ void unpack(const Words<kCount>& raw, float* x) {
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const float2 two = bf16_pair(raw.w[j]);
    x[2 * j] = two.x;
    x[2 * j + 1] = two.y;
  }
}

template <int kCount>
__device__ __forceinline__ void load_floats(const float* from, float* x) {
  if constexpr (kCount == 2) {
    const float2 two = *reinterpret_cast<const float2*>(from);
    x[0] = two.x, x[1] = two.y;
  } else {
#pragma unroll
    for (int j = 0; j < kCount; j += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + j);
      x[j] = four.x, x[j + 1] = four.y, x[j + 2] = four.z, x[j + 3] = four.w;
    }
  }
}

// x / sqrt(mean(x^2) + eps) * weight. All lanes of a quad take part.
template <int kHeadDim>
__device__ __forceinline__ void normalize(float* x, const float* weight, float eps, int t) {
  constexpr int kOwn = kUnit<kHeadDim>;
  float squares = 0;
#pragma unroll
  for (int j = 0; j < kHeadDim / 4; ++j) squares += x[j] * x[j];
  squares += __shfl_xor_sync(kAllLanes, squares, 1);
  squares += __shfl_xor_sync(kAllLanes, squares, 2);
  const float factor = rsqrtf(squares / kHeadDim + eps);
#pragma unroll
  for (int c = 0; c < QuadRow<kHeadDim>::kChunks; ++c) {
    float w[kOwn];
    load_floats<kOwn>(weight + QuadRow<kHeadDim>::at(c, t), w);
#pragma unroll
    for (int j = 0; j < kOwn; ++j) x[kOwn * c + j] *= factor * w[j];
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
  static constexpr int kPairs = kHeadDim / 8;
  float cos[kPairs], sin[kPairs];

  __device__ void load(const float* cos_sin, bool interleaved, int t) {
    const float* sines = cos_sin + kHeadDim / 2;
    if (interleaved) {
      load_units<kUnit<kHeadDim> / 2>(cos_sin, sines, t);
    } else {
      load_units<kUnit<kHeadDim>>(cos_sin, sines, t);
    }
  }
  __device__ void turn_pairs(float* x, bool interleaved) const {
    if (interleaved) {
#pragma unroll
      for (int i = 0; i < kPairs; ++i) turn(x[2 * i], x[2 * i + 1], cos[i], sin[i]);
      return;
    }
#pragma unroll
    for (int i = 0; i < kPairs; ++i) turn(x[i], x[i + kPairs], cos[i], sin[i]);
  }

 private:
  // Units of angles in place of elements.
  template <int kCount>
  __device__ void load_units(const float* cosines, const float* sines, int t) {
#pragma unroll
    for (int c = 0; c < kPairs / kCount; ++c) {
      load_floats<kCount>(cosines + (4 * c + t) * kCount, cos + kCount * c);
      load_floats<kCount>(sines + (4 * c + t) * kCount, sin + kCount * c);
    }
  }
};

// The head normed and rotated, and rounded as `rounded` does.
template <int kHeadDim, class Rounded, class Out>
__device__ __forceinline__ void prepare_head(const QuadRow<kHeadDim>& row, const float* weight,
                                             float eps, const Angles<kHeadDim>& angles,
                                             bool interleaved, int t, Rounded rounded, Out* out) {
  constexpr int kOwn = kUnit<kHeadDim>;
  float x[kHeadDim / 4];
#pragma unroll
  for (int c = 0; c < QuadRow<kHeadDim>::kChunks; ++c) unpack(row.raw[c], x + kOwn * c);
  if (weight != nullptr) normalize<kHeadDim>(x, weight, eps, t);
  angles.turn_pairs(x, interleaved);
#pragma unroll
  for (int c = 0; c < QuadRow<kHeadDim>::kChunks; ++c) out[c] = rounded(x + kOwn * c);
}

}  // namespace hachi::ops::cuda::attend
