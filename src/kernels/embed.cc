#include "kernels/embed.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cuda_ops.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

void embed(Context& ctx, Tensor y, std::span<const int32_t> ids, const Weight& table, float scale) {
  check_weight(table, table.values.size(1));
  check_f32(y, static_cast<int64_t>(ids.size()), table.values.size(1));
  // On a GPU, a negative one stands for a token that only it knows (draw.h).
  const bool on_gpu = ctx.device == Device::kCuda;
  for (int32_t id : ids) CHECK((id >= 0 || on_gpu) && id < table.values.size(0));
  switch (ctx.device) {
    case Device::kRef:
      return ref::embed(ctx, y, ids, table, scale);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::embed(ctx, y, ids, table, scale);
    case Device::kCuda:
      return cuda::embed(ctx, y, y.size(0), table, scale);
  }
}

}  // namespace hachi::ops
