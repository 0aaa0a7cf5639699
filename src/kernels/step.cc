#include "kernels/step.h"

#include <cstring>

#include "kernels/checks.h"
#include "kernels/cuda_ops.h"
#include "kernels/gpu.h"

namespace hachi::ops {

void begin_step(Context& ctx, const BatchView& batch) {
  if (ctx.device == Device::kCuda) ctx.gpu->begin_step(batch);
}

void gather(Context& ctx, Tensor y, ConstTensor x, std::span<const int64_t> rows) {
  check_f32(y, static_cast<int64_t>(rows.size()), x.size(1));
  if (ctx.device == Device::kCuda) return cuda::gather(ctx, y, x, rows);
  const auto bytes = static_cast<size_t>(x.size(1)) * sizeof(float);
  int64_t to = 0;
  for (const int64_t row : rows) std::memcpy(y.row(to++), x.row(row), bytes);
}

ConstTensor on_host(Context& ctx, ConstTensor x, Tensor host) {
  if (ctx.device != Device::kCuda) return x;
  check_f32(host, x.size(0), x.size(1));
  CHECK_EQ(x.stride_bytes(0), host.stride_bytes(0));
  ctx.gpu->download(host.data(), x.data(), static_cast<uint64_t>(x.size(0) * x.stride_bytes(0)));
  return host;
}

}  // namespace hachi::ops
