// Writes a planned model: tensor after tensor, a piece at a time, so that memory is bounded by a
// piece, and with GPTQ by a layer.
#pragma once

#include <filesystem>
#include <functional>

#include "core/result.h"
#include "core/thread_pool.h"
#include "quantize/gptq.h"
#include "quantize/plan.h"
#include "quantize/progress.h"

namespace hachi::quantize {

// Told before each tensor, and after the last with `next` == the number of tensors.
using WriteProgress = std::function<void(const Plan& plan, size_t next, uint64_t bytes_done)>;

struct WriteOptions {
  WriteProgress progress;
  ShouldStop should_stop;
  Gptq* gptq = nullptr;  // chooses the blocks of the layers' matrices that it can
};

// The result does not depend on the number of threads. Fails with kIo, with kCancelled once
// should_stop() is true, and with kCorrupt, naming the tensor, for a weight that is no number or
// too large for its type; then there is no file at `path` that was not there before. Returns its
// bytes.
Result<uint64_t> write_model(const Source& source, const Plan& plan,
                             const std::filesystem::path& path, ThreadPool& pool,
                             const WriteOptions& options);

}  // namespace hachi::quantize
