#include "kernels/cuda/stream_kernel.cuh"

namespace hachi::ops::cuda {

void stream_bf16(Stream stream, const StreamParams& params) {
  stream_format<BF16Format>(stream, params);
}
void stream_f8(Stream stream, const StreamParams& params) {
  stream_format<F8Format>(stream, params);
}

}  // namespace hachi::ops::cuda
