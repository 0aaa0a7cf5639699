#pragma once

#include "kernels/context.h"

namespace hachi::ops {

// x[t,c] += y[t,c]
//
//   x  [T,C] f32, read and written
//   y  [T,C] f32; must not overlap x
void add(Context& ctx, Tensor x, ConstTensor y);

}  // namespace hachi::ops
