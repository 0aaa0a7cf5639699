#include <algorithm>
#include <cstring>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/grain.h"
#include "kernels/cpu/select.h"
#include "kernels/kv_page.h"

namespace hachi::ops::cpu {
namespace {

// Writes one position of a page.
void store(const InnerLoops& loops, DType dtype, std::byte* page, KvPart part, int64_t width,
           int64_t slot, const float* x) {
  const KvPlaces places = kv_places(part, width, slot);
  if (dtype == DType::kQ8_0) return store_position(dtype, page, part, width, slot, x);
  const int64_t element = row_bytes(dtype, 1);
  if (part == KvPart::kValues) {
    return loops.encode(dtype, x, width, page + places.first * element);
  }
  constexpr int64_t kRun = 64;
  alignas(64) std::byte encoded[kRun * sizeof(float)];
  for (int64_t d = 0; d < width; d += kRun) {
    const int64_t count = std::min(kRun, width - d);
    loops.encode(dtype, x + d, count, encoded);
    std::byte* to = page + (places.first + d * places.step) * element;
    const int64_t step = places.step * element;
    if (element == 2) {
      for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * step, encoded + i * 2, 2);
    } else {
      for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * step, encoded + i * 4, 4);
    }
  }
}

}  // namespace

void kv_store(Context& ctx, const KvLayer& kv, ConstTensor k, ConstTensor v,
              const BatchView& batch) {
  const InnerLoops& loops = inner_loops(ctx.features);
  const DType type = kv.keys.dtype();
  const int64_t width = kv.keys.size(2);
  for (const SequenceSpan& span : batch.sequences) {
    // Head by head, so that the page that a run of positions shares stays in the first cache.
    const int64_t together = cheap_rows(span.num_tokens, k.size(1), ctx.pool->num_threads());
    ctx.pool->parallel_for(span.num_tokens, together, [&](int64_t begin, int64_t end) {
      for (int64_t head = 0; head < kv.keys.size(1); ++head) {
        for (int64_t t = span.first_token + begin; t < span.first_token + end; ++t) {
          const int64_t position = batch.positions[static_cast<size_t>(t)];
          const int64_t slot = position % kPagePositions;
          store(loops, type, kv_page(kv.keys, span.pages, position, head), KvPart::kKeys, width,
                slot, k.row<float>(t) + head * width);
          store(loops, type, kv_page(kv.values, span.pages, position, head), KvPart::kValues, width,
                slot, v.row<float>(t) + head * width);
        }
      }
    });
  }
}

}  // namespace hachi::ops::cpu
