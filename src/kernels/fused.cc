#include "kernels/fused.h"

#include "kernels/attention.h"
#include "kernels/cuda_ops.h"
#include "kernels/geglu.h"
#include "kernels/kv_store.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"

namespace hachi::ops {

void norm_matmul(Context& ctx, std::span<const Product> products, ConstTensor x, ConstTensor norm,
                 float eps, Tensor normed) {
  if (ctx.device == Device::kCuda) return cuda::norm_matmul(ctx, products, x, norm, eps, normed);
  rms_norm(ctx, normed, x, norm, eps);
  matmul(ctx, products, normed);
}

void norm_gated_matmul(Context& ctx, const GatedMatmul& args) {
  if (ctx.device == Device::kCuda) return cuda::norm_gated_matmul(ctx, args);
  const int64_t width = args.y.size(1);
  const Tensor gate = args.gate_up.columns(0, width);
  const Tensor up = args.gate_up.columns(width, width);
  norm_matmul(ctx, {{gate, args.gate}, {up, args.up}}, args.x, args.norm, args.eps, args.normed);
  if (args.activation == Gate::kGelu) return geglu(ctx, args.y, args.gate_up);
  swiglu(ctx, args.y, args.gate_up);
}

void attend(Context& ctx, const Attend& args, const BatchView& batch) {
  if (ctx.device == Device::kCuda) return cuda::attend(ctx, args, batch);
  if (args.query_norm) {
    rms_norm_heads(ctx, args.q, args.query_norm, args.eps);
    rms_norm_heads(ctx, args.k, args.key_norm, args.eps);
  }
  rope(ctx, args.q, args.cos_sin, args.layout);
  rope(ctx, args.k, args.cos_sin, args.layout);
  kv_store(ctx, args.kv, args.k, args.v, batch);
  attention(ctx, args.y, args.q, args.kv, batch, args.score_scale, args.window);
}

}  // namespace hachi::ops
