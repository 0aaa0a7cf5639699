#include "kernels/cpu/cpu.h"
#include "kernels/cpu/grain.h"
#include "kernels/cpu/select.h"
#include "kernels/cpu/weight_rows.h"

namespace hachi::ops::cpu {

void dequantize(Context& ctx, Tensor y, const Weight& w, int64_t first_row) {
  const InnerLoops& loops = inner_loops(ctx.features);
  const int64_t together = cheap_rows(y.size(0), y.size(1), ctx.pool->num_threads());
  ctx.pool->parallel_for(y.size(0), together, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      decode_weights(loops, w, first_row + r, 0, y.size(1), y.row<float>(r));
    }
  });
}

void embed(Context& ctx, Tensor y, std::span<const int32_t> ids, const Weight& table, float scale) {
  const InnerLoops& loops = inner_loops(ctx.features);
  const int64_t together = cheap_rows(y.size(0), y.size(1), ctx.pool->num_threads());
  ctx.pool->parallel_for(y.size(0), together, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = y.row<float>(t);
      decode_weights(loops, table, ids[static_cast<size_t>(t)], 0, y.size(1), row);
      for (int64_t c = 0; c < y.size(1); ++c) row[c] *= scale;
    }
  });
}

}  // namespace hachi::ops::cpu
