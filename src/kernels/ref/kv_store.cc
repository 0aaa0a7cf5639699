#include "kernels/decode.h"
#include "kernels/kv_slot.h"
#include "kernels/ref/ref.h"

namespace hachi::ops::ref {

void kv_store(Context&, const KvLayer& kv, ConstTensor k, ConstTensor v, const BatchView& batch) {
  const int64_t width = kv.keys.size(3);
  for (const SequenceSpan& span : batch.sequences) {
    for (int64_t t = span.first_token; t < span.first_token + span.num_tokens; ++t) {
      const int64_t position = batch.positions[static_cast<size_t>(t)];
      for (int64_t head = 0; head < kv.keys.size(1); ++head) {
        encode(kv.keys.dtype(), k.row<float>(t) + head * width, width,
               kv_slot(kv.keys, span.pages, position, head));
        encode(kv.values.dtype(), v.row<float>(t) + head * width, width,
               kv_slot(kv.values, span.pages, position, head));
      }
    }
  }
}

}  // namespace hachi::ops::ref
