#pragma once

#include "kernels/context.h"

namespace hachi::ops {

// y[t,f] = gelu(gate[t,f]) * up[t,f], where gelu is its approximation by tanh:
//
//   gelu(g) = g / 2 * (1 + tanh(u)) = g / (1 + exp(-2u)),  u = sqrt(2 / pi) * (g + 0.044715 g^3)
//
//   y        [T,F]  f32, written; must not overlap gate_up
//   gate_up  [T,2F] f32: gate, then up
//
// Sources: Hendrycks & Gimpel 2016, arXiv 1606.08415; Shazeer 2020, arXiv 2002.05202.
void geglu(Context& ctx, Tensor y, ConstTensor gate_up);

}  // namespace hachi::ops
