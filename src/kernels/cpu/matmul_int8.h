#pragma once

#include "kernels/context.h"

namespace hachi::ops::cpu {

// y = x w^T, or y += x w^T, for weights of a block type; kernels/matmul.h says how it is computed.
void multiply_int8(Context& ctx, Tensor y, ConstTensor x, const Weight& w, bool add);

}  // namespace hachi::ops::cpu
