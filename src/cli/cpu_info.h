// `hachi info --cpu`: what the processor can do, and what the kernels make of it.
#pragma once

#include "core/result.h"

namespace hachi::cli {

struct CpuInfoOptions {
  bool measure = false;  // the limits too: a third of a second for one thread and one for all
  int threads = 0;       // 0: as many as this process may use
  bool json = false;
};

// Writes to standard output and returns the exit status.
Result<int> run_cpu_info(const CpuInfoOptions& options);

}  // namespace hachi::cli
