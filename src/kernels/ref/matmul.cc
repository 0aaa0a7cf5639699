#include <vector>

#include "kernels/ref/ref.h"

namespace hachi::ops::ref {
namespace {

void multiply(Context& ctx, Tensor y, ConstTensor x, const Weight& w, bool add) {
  const int64_t inputs = x.size(1);
  std::vector<float> row(static_cast<size_t>(inputs));
  for (int64_t o = 0; o < y.size(1); ++o) {
    dequantize(ctx, Tensor(row.data(), DType::kF32, {1, inputs}), w, o);
    for (int64_t t = 0; t < y.size(0); ++t) {
      double sum = add ? y.row<float>(t)[o] : 0.0;
      for (int64_t i = 0; i < inputs; ++i) {
        sum += static_cast<double>(x.row<float>(t)[i]) * row[static_cast<size_t>(i)];
      }
      y.row<float>(t)[o] = static_cast<float>(sum);
    }
  }
}

}  // namespace

void matmul(Context& ctx, Tensor y, ConstTensor x, const Weight& w) {
  multiply(ctx, y, x, w, false);
}

void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w) {
  multiply(ctx, y, x, w, true);
}

}  // namespace hachi::ops::ref
