#include "kernels/rope.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cuda_ops.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

void rope_angles(Context& ctx, Tensor cos_sin, std::span<const int32_t> positions,
                 std::span<const float> inv_freq, float magnitude) {
  check_f32(cos_sin, static_cast<int64_t>(positions.size()),
            2 * static_cast<int64_t>(inv_freq.size()));
  switch (ctx.device) {
    case Device::kRef:
      return ref::rope_angles(ctx, cos_sin, positions, inv_freq, magnitude);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::rope_angles(ctx, cos_sin, positions, inv_freq, magnitude);
    case Device::kCuda:
      return cuda::rope_angles(ctx, cos_sin, inv_freq, magnitude);
  }
}

void rope(Context& ctx, Tensor x, ConstTensor cos_sin, RopeLayout layout) {
  check_f32(x, x.size(0), x.size(1));
  check_f32(cos_sin, x.size(0), cos_sin.size(1));
  CHECK_GT(cos_sin.size(1), 0);
  CHECK_EQ(cos_sin.size(1) % 2, 0);
  CHECK_EQ(x.size(1) % cos_sin.size(1), 0);
  switch (ctx.device) {
    case Device::kRef:
      return ref::rope(ctx, x, cos_sin, layout);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::rope(ctx, x, cos_sin, layout);
    case Device::kCuda:
      only_fused("attend()");
  }
}

}  // namespace hachi::ops
