// One matrix to blocks, each column's rounding made up for by the columns after it (hessian.h).
#pragma once

#include <cstddef>
#include <vector>

#include "core/result.h"
#include "core/thread_pool.h"
#include "quantize/hessian.h"
#include "quantize/source.h"

namespace hachi::quantize {

// The rows of `tensor` as `type`, for which has_grid() is true and whose blocks fit the rows, into
// `out` [rows * row_bytes]. Block after block: the columns of a block are corrected for all errors
// before it, the encoder chooses the scales for them, by the importance of the inputs; then they
// are rounded one by one to the levels of those scales, each corrected for the errors of its block
// so far. Fails with kCorrupt if a weight is infinite or no number.
Result<void> quantize_compensated(const SourceTensor& tensor, DType type, const Hessian& hessian,
                                  ThreadPool& pool, std::vector<std::byte>& out);

}  // namespace hachi::quantize
