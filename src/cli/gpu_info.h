// What `hachi info --gpu` shows: the GPUs that this program can use.
#pragma once

#include "core/result.h"

namespace hachi::cli {

struct GpuInfoOptions {
  bool measure = false;  // the limits of each too
  bool json = false;
};

Result<int> run_gpu_info(const GpuInfoOptions& options);

}  // namespace hachi::cli
