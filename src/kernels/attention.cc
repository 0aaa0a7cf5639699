#include "kernels/attention.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

void attention(Context& ctx, Tensor y, ConstTensor q, const KvLayer& kv, const BatchView& batch,
               float score_scale, int64_t window) {
  check_kv(kv);
  CHECK_EQ(kv.keys.size(2) % 8, 0);
  CHECK_LE(kv.keys.size(2), kMaxHeadWidth);
  check_f32(q, q.size(0), q.size(1));
  check_f32(y, q.size(0), q.size(1));
  CHECK_EQ(q.size(1) % (kv.keys.size(1) * kv.keys.size(2)), 0);
  check_batch(batch, kv.keys.size(0), q.size(0));
  CHECK_GE(window, 0);
  switch (ctx.device) {
    case Device::kRef:
      return ref::attention(ctx, y, q, kv, batch, score_scale, window);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::attention(ctx, y, q, kv, batch, score_scale, window);
    case Device::kCuda:
      only_fused("attend()");
  }
}

}  // namespace hachi::ops
