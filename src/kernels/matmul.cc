#include "kernels/matmul.h"

#include "kernels/checks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cuda_ops.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

namespace {

void check_matmul(ConstTensor y, ConstTensor x, const Weight& w) {
  check_f32(x, x.size(0), x.size(1));
  check_weight(w, x.size(1));
  check_f32(y, x.size(0), w.values.size(0));
}

}  // namespace

bool prefers_panels(const Context& ctx, const Weight& w) {
  return ctx.device == Device::kCpu && cpu::prefers_panels(ctx.features, w);
}

void matmul(Context& ctx, Tensor y, ConstTensor x, const Weight& w) {
  const Product product{y, &w};
  matmul(ctx, {&product, 1}, x);
}

void matmul(Context& ctx, std::span<const Product> products, ConstTensor x) {
  if (ctx.device == Device::kCuda) return cuda::matmul(ctx, products, x);
  for (const Product& product : products) check_matmul(product.y, x, *product.w);
  switch (ctx.device) {
    case Device::kRef:
      for (const Product& product : products) ref::matmul(ctx, product.y, x, *product.w);
      return;
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::matmul(ctx, products, x);
    case Device::kCuda:
      return;  // above: x is of another type there
  }
}

void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w, const Reader& next) {
  if (ctx.device == Device::kCuda) return cuda::matmul_add(ctx, y, x, w, next);
  check_matmul(y, x, w);
  switch (ctx.device) {
    case Device::kRef:
      return ref::matmul_add(ctx, y, x, w);
    case Device::kCpu:
      CHECK(ctx.pool != nullptr);
      return cpu::matmul_add(ctx, y, x, w);
    case Device::kCuda:
      return;  // above: x is of another type there
  }
}

}  // namespace hachi::ops
