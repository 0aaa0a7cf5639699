// KvCache: the memory of keys and values, cut into pages of a fixed number of tokens, the same page
// number in every layer. Who holds which page is for engine/ to know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"
#include "kernels/kv_page.h"
#include "kernels/memory.h"
#include "model/config.h"

namespace hachi::model {

// A page of the cache and one of the processor's memory.
struct PageCopy {
  int32_t page = 0;
  int32_t host_page = 0;
};

class KvCache {
 public:
  static constexpr int64_t kPageTokens = ops::kPagePositions;

  // On ctx's device, whose types are those of ops::KvLayer; kQ8_0 is for models whose heads are a
  // multiple of 32 wide. A processor's memory is touched only when used.
  static Result<KvCache> allocate(const ops::Context& ctx, const ModelConfig& config,
                                  int64_t num_pages, DType dtype);

  int64_t num_pages() const { return num_pages_; }
  const ops::KvLayer& layer(size_t i) const { return layers_[i]; }
  uint64_t page_bytes() const { return page_bytes_; }  // of all layers

  // Pages, whole, to the processor's memory and back. Page i of `host` begins at i * page_bytes().
  // On a GPU the copies go into its queue: between steps, nobody has to wait for them but who
  // touches `host` by other means.
  enum class Way { kInQueue, kBeside };  // kBeside: as Gpu::queue_download_beside()
  void save(const ops::Context& ctx, std::span<const PageCopy> copies, std::byte* host,
            Way way = Way::kInQueue) const;
  void load(const ops::Context& ctx, std::span<const PageCopy> copies, const std::byte* host);

 private:
  int64_t num_pages_ = 0;
  uint64_t page_bytes_ = 0;
  std::vector<ops::KvLayer> layers_;
  ops::Memory memory_;
};

}  // namespace hachi::model
