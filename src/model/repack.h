// Weights in the order in which the processor's vectors take them, or in the memory of a GPU.
#pragma once

#include "core/result.h"
#include "kernels/context.h"
#include "model/weights.h"

namespace hachi::model {

// Copies each matrix whose products are faster so into panels (kernels/panels.h) and forgets its
// rows: the pages of the checkpoint's mapping that held them are given back. What lies in panels in
// the file is used there; the embedding of a model with a head of its own stays as it is. On a GPU
// everything is copied to its memory (kernels/place.h). Fails with kLimit if memory does not
// suffice.
Result<void> repack(ops::Context& ctx, Weights& weights);

}  // namespace hachi::model
