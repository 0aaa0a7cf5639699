#pragma once

#include "kernels/context.h"
#include "kernels/cpu/inner_loops.h"

namespace hachi::ops::cpu {

// y[i] = w[row, first + i] in f32, scales applied, for i < n. `first` and n are multiples of the
// block size of the type.
void decode_weights(const InnerLoops& loops, const Weight& w, int64_t row, int64_t first, int64_t n,
                    float* y);

}  // namespace hachi::ops::cpu
