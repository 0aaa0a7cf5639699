#include "kernels/kv_page.h"
#include "kernels/ref/ref.h"

namespace hachi::ops::ref {

void kv_store(Context&, const KvLayer& kv, ConstTensor k, ConstTensor v, const BatchView& batch) {
  const int64_t width = kv.keys.size(2);
  const DType type = kv.keys.dtype();
  for (const SequenceSpan& span : batch.sequences) {
    for (int64_t t = span.first_token; t < span.first_token + span.num_tokens; ++t) {
      const int64_t position = batch.positions[static_cast<size_t>(t)];
      const int64_t slot = position % kPagePositions;
      for (int64_t head = 0; head < kv.keys.size(1); ++head) {
        store_position(type, kv_page(kv.keys, span.pages, position, head), KvPart::kKeys, width,
                       slot, k.row<float>(t) + head * width);
        store_position(type, kv_page(kv.values, span.pages, position, head), KvPart::kValues, width,
                       slot, v.row<float>(t) + head * width);
      }
    }
  }
}

}  // namespace hachi::ops::ref
