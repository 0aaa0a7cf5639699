// swiglu and geglu: an activation of gate, times up.
#include <algorithm>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/grain.h"
#include "kernels/cpu/select.h"

namespace hachi::ops::cpu {

namespace {

// `row` as in InnerLoops.
template <class Row>
void gated(Context& ctx, Tensor y, ConstTensor gate_up, Row* row) {
  constexpr int64_t kRun = 1024;  // elements an item, so that long rows are shared by the threads
  const int64_t width = y.size(1);
  const int64_t runs = (width + kRun - 1) / kRun;
  const int64_t items = y.size(0) * runs;
  const int64_t together = cheap_rows(items, std::min(kRun, width), ctx.pool->num_threads());
  ctx.pool->parallel_for(items, together, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t t = item / runs;
      const int64_t f = item % runs * kRun;
      const float* gate = gate_up.row<float>(t) + f;
      row(y.row<float>(t) + f, gate, gate + width, std::min(kRun, width - f));
    }
  });
}

}  // namespace

void swiglu(Context& ctx, Tensor y, ConstTensor gate_up) {
  gated(ctx, y, gate_up, inner_loops(ctx.features).swiglu);
}

void geglu(Context& ctx, Tensor y, ConstTensor gate_up) {
  gated(ctx, y, gate_up, inner_loops(ctx.features).geglu);
}

}  // namespace hachi::ops::cpu
