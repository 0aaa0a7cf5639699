#include "model/repack.h"

#include <vector>

#include "core/files.h"
#include "kernels/matmul.h"
#include "kernels/panels.h"

namespace hachi::model {
namespace {

constexpr uint64_t kAlignment = Buffer::kAlignment;

uint64_t bytes_in_panels(const ops::Weight& w) {
  const ConstTensor& values = w.values;
  const int64_t bytes = ops::panels_bytes(values.dtype(), values.size(0), values.size(1));
  return (static_cast<uint64_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
}

// The matrices that a product reads in full. A tied head is one with the embedding.
std::vector<ops::Weight*> matrices(Weights& weights) {
  std::vector<ops::Weight*> all;
  for (LayerWeights& layer : weights.layers) {
    for (ops::Weight* w : {&layer.query, &layer.key, &layer.value, &layer.out, &layer.gate,
                           &layer.up, &layer.down}) {
      all.push_back(w);
    }
  }
  all.push_back(&weights.head);
  return all;
}

}  // namespace

Result<void> repack(ops::Context& ctx, Weights& weights) {
  std::vector<ops::Weight*> all = matrices(weights);
  std::erase_if(all, [&](const ops::Weight* w) {
    return w->panels != nullptr || !ops::prefers_panels(ctx, *w);
  });
  uint64_t bytes = 0;
  for (const ops::Weight* w : all) bytes += bytes_in_panels(*w);
  const bool tied = weights.head.values.data() == weights.embedding.values.data() &&
                    weights.head.panels == weights.embedding.panels;
  TRY(Buffer memory, Buffer::allocate(bytes, Buffer::Pages::kHuge));
  std::byte* at = memory.data();
  for (ops::Weight* w : all) {
    const ConstTensor rows = w->values;
    ops::pack_panels(*ctx.pool, rows, at);
    release_pages({rows.data(), static_cast<size_t>(rows.size(0) * rows.stride_bytes(0))});
    w->values = ConstTensor(nullptr, rows.dtype(), {rows.size(0), rows.size(1)});
    w->panels = at;
    at += bytes_in_panels(*w);
  }
  if (tied) weights.embedding = weights.head;
  weights.owned.push_back(std::move(memory));
  return {};
}

}  // namespace hachi::model
