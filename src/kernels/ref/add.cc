#include "kernels/ref/ref.h"

namespace hachi::ops::ref {

void add(Context&, Tensor x, ConstTensor y) {
  for (int64_t t = 0; t < x.size(0); ++t) {
    for (int64_t c = 0; c < x.size(1); ++c) x.row<float>(t)[c] += y.row<float>(t)[c];
  }
}

}  // namespace hachi::ops::ref
