#include "kernels/cpu/cpu.h"
#include "kernels/cpu/grain.h"

namespace hachi::ops::cpu {

void add(Context& ctx, Tensor x, ConstTensor y) {
  const int64_t width = x.size(1);
  const int64_t together = cheap_rows(x.size(0), width, ctx.pool->num_threads());
  ctx.pool->parallel_for(x.size(0), together, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* to = x.row<float>(t);
      const float* from = y.row<float>(t);
      for (int64_t c = 0; c < width; ++c) to[c] += from[c];
    }
  });
}

}  // namespace hachi::ops::cpu
