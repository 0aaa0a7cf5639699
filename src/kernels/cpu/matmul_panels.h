#pragma once

#include <span>

#include "kernels/cpu/inner_loops.h"
#include "kernels/matmul.h"

namespace hachi::ops::cpu {

// True if the set multiplies this matrix as panels.
bool takes_panels(const InnerLoops& loops, const Weight& w);

// y = x w^T, or y += x w^T, for products with matrices that takes_panels() is true of.
void multiply_panels(Context& ctx, std::span<const Product> products, ConstTensor x, bool add);

}  // namespace hachi::ops::cpu
