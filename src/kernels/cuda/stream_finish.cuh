// The end of a streamed product: warp t has the sums of row t of x, and makes of them what
// StreamMatmul::finish says. Lane l holds output l of a group.
#pragma once

#include "kernels/cuda/operand.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/stream_params.cuh"
#include "kernels/cuda/tile_format.h"

namespace hachi::ops::cuda {

__device__ inline int tiles_per_group(const StreamParams& p) {
  return p.group_outputs / kTileRows * (is_gated(p.finish) ? 2 : 1);
}

// A tile of a group: gate and up alternate.
struct Tile {
  int product;
  int row;  // its first
};

__device__ inline Tile tile_of(const StreamParams& p, int group, int tile) {
  if (is_gated(p.finish)) return {tile % 2, group * p.group_outputs + tile / 2 * kTileRows};
  int product = 0;
  while (group >= p.products[product].groups) group -= p.products[product++].groups;
  return {product, group * p.group_outputs + tile * kTileRows};
}

__device__ inline float activation(Finish finish, float x) {
  if (finish == Finish::kSwiglu) return __fdividef(x, 1.0f + __expf(-x));
  const float inner = 0.7978845608028654f * (x + 0.044715f * x * x * x);  // sqrt(2 / pi)
  return 0.5f * x * (1.0f + tanhf(inner));
}

class Finisher {
 public:
  // The sums of squares are read here.
  __device__ Finisher(const StreamParams& p, int row, int lane) : p_(p), row_(row), lane_(lane) {
    if (p.x_squares == nullptr) return;
    const int groups = p.inputs / 32;
    float sum = 0;
    for (int i = lane; i < groups; i += 32) sum += p.x_squares[row * groups + i];
    norm_ = 1.0f / sqrtf(warp_sum(sum) / static_cast<float>(p.inputs) + p.eps);
  }

  // Reads ahead of time what the end of a tile needs.
  __device__ void begin_tile(Tile tile, int index) {
    const StreamParams::Product& product = p_.products[tile.product];
    scale_ = norm_;
    if (product.scales != nullptr && product.span != ScaleSpan::kBlock128) {
      const int at = product.span == ScaleSpan::kRow ? tile.row + lane_ % kTileRows : 0;
      scale_ *= product.scales[at];
    }
    if (index != 0) return;
    product_ = tile.product;
    output_ = tile.row + lane_;
    if (lane_ >= p_.group_outputs) return;
    if (p_.finish == Finish::kAdd) {
      old_ = static_cast<const float*>(product.y)[row_ * p_.y_stride + output_];
    }
    if (p_.next_norm != nullptr) next_norm_ = p_.next_norm[output_];
  }

  // `sum` is output lane % 16 of the tile.
  __device__ void end_tile(int index, float sum) {
    sum *= scale_;
    const bool gated = is_gated(p_.finish);
    if (lane_ / kTileRows == (gated ? index / 2 : index)) {
      if (gated && index % 2 == 1)
        value_ = activation(p_.finish, value_) * sum;
      else
        value_ = sum;
    }
    if (index + 1 == tiles_per_group(p_)) end_group();
  }

 private:
  __device__ void end_group() {
    float value = value_;
    if (p_.finish == Finish::kAdd) value += old_;
    const bool in_use = lane_ < p_.group_outputs;
    void* y = p_.products[product_].y;
    if (in_use && y != nullptr) {
      const int64_t at = row_ * p_.y_stride + output_;
      if (p_.y_is_bf16)
        static_cast<__nv_bfloat16*>(y)[at] = __float2bfloat16_rn(value);
      else
        static_cast<float*>(y)[at] = value;
    }
    if (p_.next.rows == nullptr) return;
    const int64_t index = static_cast<int64_t>(row_) * p_.products[0].outputs + output_;
    if (p_.next.squares != nullptr) {  // then a group is 32 outputs
      const float squares = warp_sum(value * value);
      if (lane_ == 0) p_.next.squares[index / 32] = squares;
    }
    if (p_.next_norm != nullptr) value *= next_norm_;
    if (p_.next.type == OperandType::kInt8)
      write_operand_int8(p_.next, index, value, lane_);
    else if (in_use)
      write_operand_bf16(p_.next, index, value);
  }

  const StreamParams& p_;
  const int row_;  // of x
  const int lane_;
  float norm_ = 1;
  float scale_ = 1;  // of the tile's sums
  int product_ = 0;
  int output_ = 0;
  float old_ = 0;
  float next_norm_ = 1;
  float value_ = 0;
};

}  // namespace hachi::ops::cuda
