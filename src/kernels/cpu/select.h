#pragma once

#include "kernels/cpu/features.h"
#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu {

// The fastest set that the processor has.
const InnerLoops& inner_loops(const CpuFeatures& features);

}  // namespace hachi::ops::cpu
