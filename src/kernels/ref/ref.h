// The plain versions of all ops: loops as the formulas stand, sums in double. They are the
// specification; they may allocate, and use no threads.
#pragma once

#include <span>

#include "kernels/context.h"
#include "kernels/draw.h"
#include "kernels/rope.h"

namespace hachi::ops::ref {

void attention(Context& ctx, Tensor y, ConstTensor q, const KvLayer& kv, const BatchView& batch,
               float score_scale, int64_t window);
void dequantize(Context& ctx, Tensor y, const Weight& w, int64_t first_row);
void draw(std::span<int32_t> tokens, ConstTensor logits, std::span<const DrawRow> rows,
          std::span<TokenLogprobs> logprobs);
void embed(Context& ctx, Tensor y, std::span<const int32_t> ids, const Weight& table, float scale);
void kv_store(Context& ctx, const KvLayer& kv, ConstTensor k, ConstTensor v,
              const BatchView& batch);
void matmul(Context& ctx, Tensor y, ConstTensor x, const Weight& w);
void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w);
void rms_norm(Context& ctx, Tensor y, ConstTensor x, ConstTensor w, float eps);
void rms_norm_heads(Context& ctx, Tensor x, ConstTensor w, float eps);
void rope(Context& ctx, Tensor x, ConstTensor cos_sin, RopeLayout layout);
void rope_angles(Context& ctx, Tensor cos_sin, std::span<const int32_t> positions,
                 std::span<const float> inv_freq, float magnitude);
void swiglu(Context& ctx, Tensor y, ConstTensor gate_up);
void geglu(Context& ctx, Tensor y, ConstTensor gate_up);
void add(Context& ctx, Tensor x, ConstTensor y);

}  // namespace hachi::ops::ref
