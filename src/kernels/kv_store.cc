#include "kernels/kv_store.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

void kv_store(Context& ctx, const KvLayer& kv, ConstTensor k, ConstTensor v,
              const BatchView& batch) {
  check_kv(kv);
  check_f32(k, k.size(0), kv.keys.size(1) * kv.keys.size(2));
  check_f32(v, k.size(0), kv.keys.size(1) * kv.keys.size(2));
  check_batch(batch, kv.keys.size(0), k.size(0));
  switch (ctx.device) {
    case Device::kRef:
      return ref::kv_store(ctx, kv, k, v, batch);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::kv_store(ctx, kv, k, v, batch);
    case Device::kCuda:
      only_fused("attend()");
  }
}

}  // namespace hachi::ops
