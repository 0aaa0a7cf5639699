#include <cmath>
#include <numbers>

#include "kernels/ref/ref.h"

namespace hachi::ops::ref {

void geglu(Context&, Tensor y, ConstTensor gate_up) {
  const int64_t width = y.size(1);
  const double factor = std::sqrt(2 / std::numbers::pi);
  for (int64_t t = 0; t < y.size(0); ++t) {
    const float* gate = gate_up.row<float>(t);
    const float* up = gate + width;
    for (int64_t f = 0; f < width; ++f) {
      const double g = gate[f];
      const double u = factor * (g + 0.044715 * g * g * g);
      y.row<float>(t)[f] = static_cast<float>(g / 2 * (1 + std::tanh(u)) * up[f]);
    }
  }
}

}  // namespace hachi::ops::ref
