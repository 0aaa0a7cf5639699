// The writing of operands (types.h): a warp has 32 neighbouring elements of a row, one a lane.
#pragma once

#include <cuda_bf16.h>

#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(~0u, value, distance);
  }
  return value;
}

// `index` is that of the lane's element in the operand [T,I], `first` that of lane 0, a multiple of
// 32. `value` is what is staged.
__device__ inline void write_operand_int8(const Operand& to, int64_t index, float value, int lane) {
  float largest = fabsf(value);
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, distance));
  }
  const int q = largest > 0 ? __float2int_rn(value * (127.0f / largest)) : 0;
  const int sum = __reduce_add_sync(~0u, q);
  static_cast<int8_t*>(to.rows)[index] = static_cast<int8_t>(q);
  if (lane == 0) to.groups[index / 32] = {largest / 127.0f, sum};
}

__device__ inline void write_operand_bf16(const Operand& to, int64_t index, float value) {
  static_cast<__nv_bfloat16*>(to.rows)[index] = __float2bfloat16_rn(value);
}

}  // namespace hachi::ops::cuda
