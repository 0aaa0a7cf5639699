#include "kernels/add.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cuda_ops.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

void add(Context& ctx, Tensor x, ConstTensor y) {
  check_f32(x, x.size(0), x.size(1));
  check_f32(y, x.size(0), x.size(1));
  switch (ctx.device) {
    case Device::kRef:
      return ref::add(ctx, x, y);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::add(ctx, x, y);
    case Device::kCuda:
      return cuda::add(ctx, x, y);
  }
}

}  // namespace hachi::ops
