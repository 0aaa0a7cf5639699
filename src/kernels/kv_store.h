#pragma once

#include "kernels/context.h"

namespace hachi::ops {

// Writes each token's keys and values to the slot of its position in the pages of its sequence.
//
//   kv    written; f16 and bf16 round to the nearest, ties to even; q8_0, for heads of a multiple
//         of 32, as int8_row.h has it
//   k, v  [T,G*D] f32
//
// Two tokens of a batch must not share a slot.
void kv_store(Context& ctx, const KvLayer& kv, ConstTensor k, ConstTensor v,
              const BatchView& batch);

}  // namespace hachi::ops
