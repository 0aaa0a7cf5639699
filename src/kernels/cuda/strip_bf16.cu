#include "kernels/cuda/strip_launch.cuh"

namespace hachi::ops::cuda {

void strip_bf16(Stream stream, const StreamParams& params) {
  strip::run_strips<false>(stream, params);
}

}  // namespace hachi::ops::cuda
