// The ops on Device::kCuda: in cuda/, or in builds without CUDA in no_cuda/, where none is reached.
#pragma once

#include <span>

#include "kernels/context.h"
#include "kernels/draw.h"
#include "kernels/fused.h"
#include "kernels/matmul.h"
#include "kernels/place.h"

namespace hachi::ops::cuda {

void add(Context& ctx, Tensor x, ConstTensor y);
void attend(Context& ctx, const Attend& args, const BatchView& batch);
void queue_draw(Context& ctx, std::span<int32_t> tokens, ConstTensor logits,
                std::span<const DrawRow> rows, std::byte* room, std::span<TokenLogprobs> logprobs);
void embed(Context& ctx, Tensor y, int64_t rows, const Weight& table, float scale);
void gather(Context& ctx, Tensor y, ConstTensor x, std::span<const int64_t> rows);
void matmul(Context& ctx, std::span<const Product> products, ConstTensor x);
void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w, const Reader& next);
void norm_gated_matmul(Context& ctx, const GatedMatmul& args);
void norm_matmul(Context& ctx, std::span<const Product> products, ConstTensor x, ConstTensor norm,
                 float eps, Tensor normed);
void rms_norm(Context& ctx, Tensor y, ConstTensor x, ConstTensor w, float eps);
void remember_drawn(Context& ctx, const std::byte* room);
void rope_angles(Context& ctx, Tensor cos_sin, std::span<const float> inv_freq, float magnitude);

Weight place(Context& ctx, const Weight& w, Use use, std::byte* values, std::byte* scales);
PlacedBytes placed_bytes(const Weight& w, Use use);

}  // namespace hachi::ops::cuda
