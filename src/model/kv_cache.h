// KvCache: the memory of keys and values, cut into pages of a fixed number of tokens, the same page
// number in every layer. Who holds which page is for engine/ to know.
#pragma once

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "kernels/kv_page.h"
#include "kernels/memory.h"
#include "model/config.h"

namespace hachi::model {

class KvCache {
 public:
  static constexpr int64_t kPageTokens = ops::kPagePositions;

  // On ctx's device, whose types are those of ops::KvLayer; kQ8_0 is for models whose heads are a
  // multiple of 32 wide. A processor's memory is touched only when used.
  static Result<KvCache> allocate(const ops::Context& ctx, const ModelConfig& config,
                                  int64_t num_pages, DType dtype);

  int64_t num_pages() const { return num_pages_; }
  const ops::KvLayer& layer(size_t i) const { return layers_[i]; }

 private:
  int64_t num_pages_ = 0;
  std::vector<ops::KvLayer> layers_;
  ops::Memory memory_;
};

}  // namespace hachi::model
