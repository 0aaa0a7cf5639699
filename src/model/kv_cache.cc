#include "model/kv_cache.h"

#include "core/checked.h"

namespace hachi::model {

Result<KvCache> KvCache::allocate(const ModelConfig& config, int64_t num_pages, DType dtype) {
  const int64_t groups = config.num_kv_heads;
  const int64_t width = config.head_dim;
  const auto page_bytes = static_cast<uint64_t>(groups * kPageTokens * row_bytes(dtype, width));
  const auto pages =
      checked_mul(static_cast<uint64_t>(num_pages), static_cast<uint64_t>(2 * config.num_layers));
  const auto bytes = pages ? checked_mul(*pages, page_bytes) : std::nullopt;
  KvCache cache;
  auto memory = bytes ? Buffer::allocate(*bytes) : Result<Buffer>(fail(Code::kLimit, "overflow"));
  if (!memory) {
    return fail(Code::kLimit,
                "a KV cache for {} tokens does not fit into memory: ask for a shorter --context",
                num_pages * kPageTokens);
  }
  cache.num_pages_ = num_pages;
  cache.memory_ = *std::move(memory);
  std::byte* at = cache.memory_.data();
  const auto take = [&] {
    Tensor tensor(at, dtype, {num_pages, groups, kPageTokens, width});
    at += static_cast<uint64_t>(num_pages) * page_bytes;
    return tensor;
  };
  for (int64_t i = 0; i < config.num_layers; ++i) {
    ops::KvLayer layer;
    layer.keys = take();
    layer.values = take();
    cache.layers_.push_back(layer);
  }
  return cache;
}

}  // namespace hachi::model
