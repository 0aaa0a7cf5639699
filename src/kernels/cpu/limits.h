// What this machine can do at most, measured: the limits that speeds are printed beside.
#pragma once

#include <string_view>

#include "core/result.h"
#include "core/thread_pool.h"
#include "kernels/cpu/features.h"

namespace hachi::ops {

// Of several samples, each some ten milliseconds long. On a machine that others use too, the best
// is what the machine can do and the median what it did.
struct Rate {
  double best = 0;
  double median = 0;
  std::string_view how;  // the instructions, such as "AVX-512 VNNI"; empty if there was no probe
};

// Of all threads together. A multiplication and an addition count as two operations.
struct Limits {
  Rate read;     // bytes a second from memory
  Rate int8;     // operations a second of 8-bit products, summed in 32 bits
  Rate float32;  // operations a second of multiply-adds
};

inline constexpr uint64_t kReadProbeBytes = uint64_t{1} << 28;  // far beyond any cache

// Takes about a third of a second and, meanwhile, kReadProbeBytes of memory; fails with kLimit if
// there is not that much. Uses the widest instructions that `features` names; without any of them
// there are no int8 and float32 rates.
Result<Limits> measure_limits(ThreadPool& pool, const CpuFeatures& features);

}  // namespace hachi::ops
