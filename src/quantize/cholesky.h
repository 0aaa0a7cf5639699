// Cholesky's factors from the end: A = R R^T with R upper triangular.
#pragma once

#include "core/tensor.h"
#include "kernels/context.h"

namespace hachi::quantize {

// Overwrites the upper triangle of `a`, f32 [N,N], which is symmetric, with R; what lies below the
// diagonal is neither read nor written. False, with the upper triangle in pieces, if A is not
// positive definite within the precision of floats. The bits do not depend on the number of
// threads.
bool factor_from_the_end(ops::Context& ctx, Tensor a);

}  // namespace hachi::quantize
