#pragma once

#include "kernels/context.h"

namespace hachi::ops {

// y[t,c] = w[c] * x[t,c] / sqrt(mean over c of x[t,c]^2 + eps)
//
//   y    [T,C] f32, written; may be x itself
//   x    [T,C] f32
//   w    [C]   f32
//   eps        added to the mean square; 1e-6 for Qwen3
//
// Source: Zhang & Sennrich 2019, arXiv 1910.07467.
void rms_norm(Context& ctx, Tensor y, ConstTensor x, ConstTensor w, float eps);

// rms_norm of each head by itself, in place: Qwen3's QK-norm.
//
//   x  [T,N*D] f32, read and written; N heads side by side
//   w  [D]     f32
void rms_norm_heads(Context& ctx, Tensor x, ConstTensor w, float eps);

}  // namespace hachi::ops
