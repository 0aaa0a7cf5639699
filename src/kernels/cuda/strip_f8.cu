#include "kernels/cuda/strip_launch.cuh"

namespace hachi::ops::cuda {

void strip_f8(Stream stream, const StreamParams& params) {
  strip::run_strips<true>(stream, params);
}

}  // namespace hachi::ops::cuda
