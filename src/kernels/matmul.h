#pragma once

#include "kernels/context.h"

namespace hachi::ops {

// y[t,o] = sum over i of x[t,i] * w[o,i]
//
//   y  [T,O] f32, written; must not overlap x
//   x  [T,I] f32
//   w  [O,I], used as it is stored: a few rows at a time are turned into f32
//
// kCpu sums in f32: element i goes to lane i % 8, each lane adds in the order of i, then the eight
// lanes are added in one fixed tree. So a token's result never depends on its neighbours.
void matmul(Context& ctx, Tensor y, ConstTensor x, const Weight& w);

// y[t,o] += sum over i of x[t,i] * w[o,i]; the sum is complete before it is added to y.
void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w);

}  // namespace hachi::ops
