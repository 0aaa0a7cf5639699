#include "model/kv_cache.h"

#include "core/checked.h"

namespace hachi::model {

Result<KvCache> KvCache::allocate(const ops::Context& ctx, const ModelConfig& config,
                                  int64_t num_pages, DType dtype) {
  const int64_t groups = config.num_kv_heads;
  const int64_t width = config.head_dim;
  if (dtype == DType::kQ8_0 && width % ops::kKvBlock != 0) {
    return fail(
        Code::kUnsupported,
        "a KV cache of type q8_0 needs heads of a multiple of {} elements, and this model's "
        "are {} wide: choose another --kv-type",
        ops::kKvBlock, width);
  }
  const bool on_gpu = ctx.device == ops::Device::kCuda;
  if (dtype == (on_gpu ? DType::kQ8_0 : DType::kF8E4M3)) {
    return fail(Code::kUnsupported, "a KV cache on {} cannot be of type {}: take {} as --kv-type",
                on_gpu ? "a GPU" : "a processor", name(dtype), on_gpu ? "f8_e4m3" : "q8_0");
  }
  // All layers of a page lie together, so that a context takes memory as it grows.
  const int64_t matrices = 2 * config.num_layers * groups;
  const auto page_bytes = static_cast<uint64_t>(matrices * width * row_bytes(dtype, kPageTokens));
  const auto bytes = checked_mul(static_cast<uint64_t>(num_pages), page_bytes);
  KvCache cache;
  auto memory = bytes ? ops::Memory::allocate(ctx, *bytes, Buffer::Pages::kHuge)
                      : Result<ops::Memory>(fail(Code::kLimit, "overflow"));
  if (!memory) {
    return fail(Code::kLimit,
                "a KV cache for {} tokens does not fit into memory: ask for a shorter --context",
                num_pages * kPageTokens);
  }
  cache.num_pages_ = num_pages;
  cache.memory_ = *std::move(memory);
  const Tensor values(cache.memory_.data(), dtype, {num_pages, matrices, kPageTokens, width});
  const Tensor keys =
      on_gpu ? values
             : Tensor(cache.memory_.data(), dtype, {num_pages, matrices, width, kPageTokens});
  for (int64_t i = 0; i < config.num_layers; ++i) {
    cache.layers_.push_back(
        {keys.slice(1, 2 * i * groups, groups), values.slice(1, (2 * i + 1) * groups, groups)});
  }
  return cache;
}

}  // namespace hachi::model
