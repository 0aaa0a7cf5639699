// What the sums of a strip's rows are multiplied by: the scale of e4m3, 1 / RMS(x), or 1.
#pragma once

#include "kernels/cuda/strip_shape.cuh"

namespace hachi::ops::cuda::strip {

// Of a thread's rows r and r + 8 of its warp's 16.
struct RowScales {
  float half[2];
};

inline constexpr int kNormRows = 8;  // of which a warp finds 1 / RMS(x)

// Half of the values go to a lane that keeps those.
template <int kStep, int kCount>
__device__ __forceinline__ void halve(float (&v)[kNormRows]) {
  const bool upper = (threadIdx.x & kStep) != 0;
#pragma unroll
  for (int i = 0; i < kCount / 2; ++i) {
    const float kept = upper ? v[kCount / 2 + i] : v[i];
    v[i] = kept + __shfl_xor_sync(0xffffffffu, upper ? v[i] : v[kCount / 2 + i], kStep);
  }
}

// The sums over all lanes of 8 values: four lanes from 4 i on get the i-th.
__device__ inline float sums_over_lanes(float (&v)[kNormRows]) {
  halve<16, 8>(v);
  halve<8, 4>(v);
  halve<4, 2>(v);
  const float sum = v[0] + __shfl_xor_sync(0xffffffffu, v[0], 2);
  return sum + __shfl_xor_sync(0xffffffffu, sum, 1);
}

// Finds 1 / RMS(x) of half of the rows for both CTAs of the cluster. The warps that multiply do so
// before they begin; all reads of a warp wait together, as they queue up behind copies of weights.
template <class S>
__device__ void find_norms(const StreamParams& p, const uint8_t* memory) {
  static_assert(kRows == kCluster * kConsumers * kNormRows);
  const uint32_t lane = threadIdx.x % 32;
  const int half = static_cast<int>(blockIdx.x) % kCluster * (kRows / kCluster);
  const int first = half + static_cast<int>(threadIdx.x) / 32 * kNormRows;
  const int groups = p.inputs / 32;
  float sums[kNormRows] = {};
#pragma unroll 4
  for (int i = static_cast<int>(lane); i < groups; i += 32) {
#pragma unroll
    for (int r = 0; r < kNormRows; ++r) {
      sums[r] += p.x_squares[min(first + r, p.rows - 1) * groups + i];
    }
  }
  const float mean = sums_over_lanes(sums) / static_cast<float>(p.inputs);
  const float inverse = 1.0f / sqrtf(mean + p.eps);
  if (lane % 4 >= kCluster) return;
  const auto row = static_cast<uint32_t>(first) + lane / 4;
  store_at(shared_address(memory + S::kScales) + row * 4, inverse, S::scales_full(memory),
           lane % 4);
}

// The first of a thread's rows.
__device__ inline int first_row() {
  return static_cast<int>(threadIdx.x) / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
}

// Of the thread's rows: what find_norms() of both CTAs has found, ...
template <class S>
__device__ RowScales found_norms(const uint8_t* memory) {
  const auto* scales = reinterpret_cast<const float*>(memory + S::kScales);
  barrier_wait(S::scales_full(memory), 0);
  return {scales[first_row()], scales[first_row() + 8]};
}
// ... or, without a norm, what x comes with.
__device__ inline RowScales given_scales(const StreamParams& p) {
  if (p.x_scales == nullptr) return {1, 1};
  return {p.x_scales[min(first_row(), p.rows - 1)], p.x_scales[min(first_row() + 8, p.rows - 1)]};
}

}  // namespace hachi::ops::cuda::strip
