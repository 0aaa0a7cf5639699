#include "model/kv_cache.h"

#include <cstring>

#include "core/check.h"
#include "core/checked.h"
#include "kernels/gpu.h"

namespace hachi::model {
namespace {

// Calls copy(offset in the cache, offset in the processor's memory, bytes) for each run of pages
// that follow each other in both.
template <class Copy>
void each_run(std::span<const PageCopy> copies, uint64_t page_bytes, const Copy& copy) {
  for (size_t i = 0; i < copies.size();) {
    size_t count = 1;
    while (i + count < copies.size() &&
           copies[i + count].page == copies[i].page + static_cast<int32_t>(count) &&
           copies[i + count].host_page == copies[i].host_page + static_cast<int32_t>(count)) {
      ++count;
    }
    copy(static_cast<uint64_t>(copies[i].page) * page_bytes,
         static_cast<uint64_t>(copies[i].host_page) * page_bytes, count * page_bytes);
    i += count;
  }
}

}  // namespace

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
  cache.page_bytes_ = page_bytes;
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

void KvCache::save(const ops::Context& ctx, std::span<const PageCopy> copies, std::byte* host,
                   Way way) const {
  each_run(copies, page_bytes_, [&](uint64_t from, uint64_t to, uint64_t bytes) {
    CHECK(from + bytes <= memory_.bytes());
    const std::byte* pages = memory_.data() + from;
    if (ctx.gpu == nullptr) {
      std::memcpy(host + to, pages, bytes);
    } else if (way == Way::kBeside) {
      ctx.gpu->queue_download_beside(host + to, pages, bytes);
    } else {
      ctx.gpu->queue_download(host + to, pages, bytes);
    }
  });
}

void KvCache::load(const ops::Context& ctx, std::span<const PageCopy> copies,
                   const std::byte* host) {
  each_run(copies, page_bytes_, [&](uint64_t to, uint64_t from, uint64_t bytes) {
    CHECK(to + bytes <= memory_.bytes());
    if (ctx.gpu != nullptr) return ctx.gpu->queue_upload(memory_.data() + to, host + from, bytes);
    std::memcpy(memory_.data() + to, host + from, bytes);
  });
}

}  // namespace hachi::model
