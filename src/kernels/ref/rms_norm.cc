#include <cmath>

#include "kernels/ref/ref.h"

namespace hachi::ops::ref {

void rms_norm(Context&, Tensor y, ConstTensor x, ConstTensor w, float eps) {
  const int64_t width = x.size(1);
  for (int64_t t = 0; t < x.size(0); ++t) {
    const float* in = x.row<float>(t);
    double squares = 0;
    for (int64_t c = 0; c < width; ++c) squares += static_cast<double>(in[c]) * in[c];
    const double scale = 1.0 / std::sqrt(squares / static_cast<double>(width) + eps);
    for (int64_t c = 0; c < width; ++c) {
      y.row<float>(t)[c] = static_cast<float>(w.as<float>()[c] * (in[c] * scale));
    }
  }
}

void rms_norm_heads(Context& ctx, Tensor x, ConstTensor w, float eps) {
  const int64_t width = w.size(0);
  for (int64_t head = 0; head < x.size(1) / width; ++head) {
    const Tensor columns = x.columns(head * width, width);
    rms_norm(ctx, columns, columns, w, eps);
  }
}

}  // namespace hachi::ops::ref
