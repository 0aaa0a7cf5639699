// Rows of a tensor as another type, each for itself.
#pragma once

#include <cstddef>

#include "core/result.h"
#include "core/thread_pool.h"
#include "quantize/source.h"

namespace hachi::quantize {

// Rows [first, first + count) of `tensor` as `type`, into `out` [count * row_bytes]. `importance`:
// [columns], or null. Fails with kCorrupt, naming the tensor, for a weight that is infinite, no
// number, or too large for the type.
Result<void> encode_rows(const SourceTensor& tensor, DType type, const float* importance,
                         int64_t first, int64_t count, ThreadPool& pool, std::byte* out);

}  // namespace hachi::quantize
