#include "kernels/geglu.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

void geglu(Context& ctx, Tensor y, ConstTensor gate_up) {
  check_f32(y, y.size(0), y.size(1));
  check_f32(gate_up, y.size(0), 2 * y.size(1));
  switch (ctx.device) {
    case Device::kRef:
      return ref::geglu(ctx, y, gate_up);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::geglu(ctx, y, gate_up);
    case Device::kCuda:
      only_fused("norm_gated_matmul()");
  }
}

}  // namespace hachi::ops
