#include "kernels/cpu/cpu.h"
#include "kernels/cpu/grain.h"
#include "kernels/cpu/select.h"
#include "kernels/kv_slot.h"

namespace hachi::ops::cpu {

void kv_store(Context& ctx, const KvLayer& kv, ConstTensor k, ConstTensor v,
              const BatchView& batch) {
  const auto encode = inner_loops(ctx.features).encode;
  const DType type = kv.keys.dtype();
  const int64_t width = kv.keys.size(3);
  for (const SequenceSpan& span : batch.sequences) {
    ctx.pool->parallel_for(span.num_tokens, cheap_rows(k.size(1)), [&](int64_t begin, int64_t end) {
      for (int64_t t = span.first_token + begin; t < span.first_token + end; ++t) {
        const int64_t position = batch.positions[static_cast<size_t>(t)];
        for (int64_t head = 0; head < kv.keys.size(1); ++head) {
          encode(type, k.row<float>(t) + head * width, width,
                 kv_slot(kv.keys, span.pages, position, head));
          encode(type, v.row<float>(t) + head * width, width,
                 kv_slot(kv.values, span.pages, position, head));
        }
      }
    });
  }
}

}  // namespace hachi::ops::cpu
