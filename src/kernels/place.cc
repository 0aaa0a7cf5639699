#include "kernels/place.h"

#include "kernels/checks.h"
#include "kernels/cuda_ops.h"

namespace hachi::ops {

PlacedBytes placed_bytes(const Weight& w, Use use) { return cuda::placed_bytes(w, use); }

Weight place(Context& ctx, const Weight& w, Use use, std::byte* values, std::byte* scales) {
  CHECK(ctx.device == Device::kCuda && ctx.gpu != nullptr);
  check_weight(w, w.values.size(1));
  CHECK(w.values.data() != nullptr);
  return cuda::place(ctx, w, use, values, scales);
}

DType activation_type(const Context& ctx, const Weight& w) {
  return ctx.device != Device::kCuda || w.placed.layout == cuda::Layout::kF32 ? DType::kF32
                                                                              : DType::kBF16;
}

}  // namespace hachi::ops
