// Several equations of a decoder layer in one call, where a GPU saves a pass over memory. On
// processors each is the ops that it names, one after the other, with the same bits.
#pragma once

#include <span>

#include "kernels/context.h"
#include "kernels/matmul.h"
#include "kernels/rope.h"

namespace hachi::ops {

// rms_norm(normed, x, norm, eps), then matmul(products, normed).
//
//   normed  [T,I], scratch; on processors it keeps RMSNorm(x)
void norm_matmul(Context& ctx, std::span<const Product> products, ConstTensor x, ConstTensor norm,
                 float eps, Tensor normed);
template <size_t N>
void norm_matmul(Context& ctx, const Product (&products)[N], ConstTensor x, ConstTensor norm,
                 float eps, Tensor normed) {
  norm_matmul(ctx, std::span<const Product>(products), x, norm, eps, normed);
}

enum class Gate { kSilu, kGelu };

// The first half of a gated feed-forward block.
struct GatedMatmul {
  // [T,F], written, or on a GPU left for `next` alone: act(RMSNorm(x) Wgate) * (RMSNorm(x) Wup)
  Tensor y;
  Tensor gate_up;  // [T,2F], scratch
  Tensor normed;   // [T,C], scratch; on processors it keeps RMSNorm(x)
  ConstTensor x;   // [T,C] f32
  ConstTensor norm;
  float eps = 0;
  const Weight* gate = nullptr;
  const Weight* up = nullptr;
  Gate activation = Gate::kSilu;
  Reader next;
};

// norm_matmul(), then swiglu() or geglu().
void norm_gated_matmul(Context& ctx, const GatedMatmul& args);

// What stands between the products of an attention block.
struct Attend {
  Tensor y;                          // [T,H*D], written
  Tensor q, k, v;                    // [T,H*D], [T,G*D], [T,G*D]; q and k are scratch after it
  ConstTensor query_norm, key_norm;  // [D]; empty: no QK-norm
  float eps = 0;
  ConstTensor cos_sin;  // [T,D]
  RopeLayout layout = RopeLayout::kHalves;
  KvLayer kv;
  float score_scale = 0;
  int64_t window = 0;
  Reader next;
};

// rms_norm_heads() and rope() of q and k, kv_store(), attention().
void attend(Context& ctx, const Attend& args, const BatchView& batch);

}  // namespace hachi::ops
