#pragma once

#include "kernels/context.h"

namespace hachi::ops {

// y[r,i] = w[first_row + r,i] in f32, scales applied
//
//   y  [R,I] f32, written
//   w  [O,I], first_row + R <= O
//
// Exact but for the roundings that the layouts in blocks.h name; every device gives the same bits.
void dequantize(Context& ctx, Tensor y, const Weight& w, int64_t first_row);

}  // namespace hachi::ops
