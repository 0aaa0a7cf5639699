#include "kernels/cpu/cpu.h"
#include "kernels/cpu/grain.h"
#include "kernels/cpu/select.h"

namespace hachi::ops::cpu {

void rms_norm(Context& ctx, Tensor y, ConstTensor x, ConstTensor w, float eps) {
  const auto norm = inner_loops(ctx.features).rms_norm;
  const int64_t together = cheap_rows(x.size(0), x.size(1), ctx.pool->num_threads());
  ctx.pool->parallel_for(x.size(0), together, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      norm(y.row<float>(t), x.row<float>(t), w.as<float>(), x.size(1), eps);
    }
  });
}

void rms_norm_heads(Context& ctx, Tensor x, ConstTensor w, float eps) {
  const auto norm = inner_loops(ctx.features).rms_norm;
  const int64_t width = w.size(0);
  const int64_t together = cheap_rows(x.size(0), x.size(1), ctx.pool->num_threads());
  ctx.pool->parallel_for(x.size(0), together, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t c = 0; c < x.size(1); c += width) {
        float* head = x.row<float>(t) + c;
        norm(head, head, w.as<float>(), width, eps);
      }
    }
  });
}

}  // namespace hachi::ops::cpu
