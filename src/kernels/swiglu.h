#pragma once

#include "kernels/context.h"

namespace hachi::ops {

// y[t,f] = silu(gate[t,f]) * up[t,f], where silu(g) = g / (1 + exp(-g))
//
//   y        [T,F]  f32, written; must not overlap gate_up
//   gate_up  [T,2F] f32: gate, then up
//
// Source: Shazeer 2020, arXiv 2002.05202.
void swiglu(Context& ctx, Tensor y, ConstTensor gate_up);

}  // namespace hachi::ops
