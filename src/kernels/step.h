// What surrounds the ops of one forward pass. On processors all of it is nothing or a copy.
#pragma once

#include <functional>
#include <span>

#include "kernels/context.h"
#include "kernels/gpu.h"

namespace hachi::ops {

// kCuda: brings the batch's ids, positions and page numbers to the GPU. The ops until the next call
// are for this batch.
void begin_step(Context& ctx, const BatchView& batch);

// Calls `work`, whose ops have shapes and addresses that depend on the key alone. kCuda keeps what
// it gave to the GPU's queue and gives that again when the key comes again; shape 0 is never kept.
template <class Work>
void replay(Context& ctx, const ReplayKey& key, const Work& work) {
  if (ctx.device != Device::kCuda || key.shape == 0) return work();
  ctx.gpu->replay(key, std::ref(work));
}

// y[r] = x[rows[r]], f32
void gather(Context& ctx, Tensor y, ConstTensor x, std::span<const int64_t> rows);

// x where the processor can read it: kCuda waits for it and copies it to `host`, of equal shape; on
// processors x itself.
ConstTensor on_host(Context& ctx, ConstTensor x, Tensor host);

}  // namespace hachi::ops
