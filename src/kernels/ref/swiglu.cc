#include <cmath>

#include "kernels/ref/ref.h"

namespace hachi::ops::ref {

void swiglu(Context&, Tensor y, ConstTensor gate_up) {
  const int64_t width = y.size(1);
  for (int64_t t = 0; t < y.size(0); ++t) {
    const float* gate = gate_up.row<float>(t);
    const float* up = gate + width;
    for (int64_t f = 0; f < width; ++f) {
      const double g = gate[f];
      y.row<float>(t)[f] = static_cast<float>(g / (1.0 + std::exp(-g)) * up[f]);
    }
  }
}

}  // namespace hachi::ops::ref
