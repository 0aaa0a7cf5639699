#include "kernels/dequantize.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

void dequantize(Context& ctx, Tensor y, const Weight& w, int64_t first_row) {
  check_weight(w, w.values.size(1));
  check_f32(y, y.size(0), w.values.size(1));
  CHECK(first_row >= 0 && first_row <= w.values.size(0) - y.size(0));
  switch (ctx.device) {
    case Device::kRef:
      return ref::dequantize(ctx, y, w, first_row);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::dequantize(ctx, y, w, first_row);
    case Device::kCuda:
      only_fused("embed()");
  }
}

}  // namespace hachi::ops
