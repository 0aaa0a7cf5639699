#include "model/repack.h"

#include <vector>

#include "core/files.h"
#include "kernels/gpu.h"
#include "kernels/matmul.h"
#include "kernels/panels.h"
#include "kernels/place.h"

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

// Norms are few and small: each has memory of its own.
Result<void> place_norm(const ops::Context& ctx, ConstTensor& norm, Weights& weights) {
  if (!norm) return {};
  const auto bytes = static_cast<uint64_t>(norm.size(0)) * sizeof(float);
  TRY(ops::Memory memory, ops::Memory::allocate(ctx, bytes));
  ctx.gpu->upload(memory.data(), norm.data(), bytes);
  norm = ConstTensor(memory.data(), DType::kF32, {norm.size(0)});
  weights.placed.push_back(std::move(memory));
  return {};
}

// All weights into the memory of ctx's GPU, all values and then all scales, so that the weights of
// one x lie side by side in both. The embedding of a tied head is read by both uses, if it is of a
// type that both can read; else each has its own.
Result<void> place_all(ops::Context& ctx, Weights& weights) {
  const bool tied = weights.head.values.data() == weights.embedding.values.data();
  const bool shared = tied && ops::placed_bytes(weights.head, ops::Use::kProduct).all() ==
                                  ops::placed_bytes(weights.embedding, ops::Use::kTable).all();
  const std::vector<ops::Weight*> all = matrices(weights);
  ops::PlacedBytes bytes;
  if (!shared) bytes.values = ops::placed_bytes(weights.embedding, ops::Use::kTable).all();
  for (const ops::Weight* w : all) {
    const ops::PlacedBytes more = ops::placed_bytes(*w, ops::Use::kProduct);
    bytes.values += more.values;
    bytes.scales += more.scales;
  }
  TRY(ops::Memory memory, ops::Memory::allocate(ctx, bytes.all()));
  std::byte* values = memory.data();
  std::byte* scales = values + bytes.values;
  for (ops::Weight* w : all) {
    const ops::PlacedBytes taken = ops::placed_bytes(*w, ops::Use::kProduct);
    *w = ops::place(ctx, *w, ops::Use::kProduct, values, scales);
    values += taken.values;
    scales += taken.scales;
  }
  weights.embedding =
      shared ? weights.head : ops::place(ctx, weights.embedding, ops::Use::kTable, values, nullptr);
  weights.placed.push_back(std::move(memory));
  TRY(place_norm(ctx, weights.final_norm, weights));
  for (LayerWeights& layer : weights.layers) {
    for (ConstTensor* norm : {&layer.attention_norm, &layer.attention_post_norm, &layer.query_norm,
                              &layer.key_norm, &layer.ffn_norm, &layer.ffn_post_norm}) {
      TRY(place_norm(ctx, *norm, weights));
    }
  }
  ctx.gpu->wait();
  weights.unpacked.clear();
  weights.owned.clear();  // all of it is on the GPU
  return {};
}

}  // namespace

Result<void> repack(ops::Context& ctx, Weights& weights) {
  if (ctx.device == ops::Device::kCuda) return place_all(ctx, weights);
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
