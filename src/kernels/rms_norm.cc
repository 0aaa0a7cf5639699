#include "kernels/rms_norm.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cuda_ops.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

void rms_norm(Context& ctx, Tensor y, ConstTensor x, ConstTensor w, float eps) {
  check_f32(x, x.size(0), x.size(1));
  check_f32(y, x.size(0), x.size(1));
  check_f32(w, x.size(1));
  switch (ctx.device) {
    case Device::kRef:
      return ref::rms_norm(ctx, y, x, w, eps);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::rms_norm(ctx, y, x, w, eps);
    case Device::kCuda:
      return cuda::rms_norm(ctx, y, x, w, eps);
  }
}

void rms_norm_heads(Context& ctx, Tensor x, ConstTensor w, float eps) {
  check_f32(x, x.size(0), x.size(1));
  check_f32(w, w.size(0));
  CHECK_GT(w.size(0), 0);
  CHECK_EQ(x.size(1) % w.size(0), 0);
  switch (ctx.device) {
    case Device::kRef:
      return ref::rms_norm_heads(ctx, x, w, eps);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::rms_norm_heads(ctx, x, w, eps);
    case Device::kCuda:
      only_fused("attend()");
  }
}

}  // namespace hachi::ops
