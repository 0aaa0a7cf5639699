#include "kernels/cuda/stream_kernel.cuh"

namespace hachi::ops::cuda {

void stream_int4(Stream stream, const StreamParams& params) {
  stream_format<TileFormat<Layout::kInt4>>(stream, params);
}
void stream_int4_min(Stream stream, const StreamParams& params) {
  stream_format<TileFormat<Layout::kInt4Min>>(stream, params);
}
void stream_int8(Stream stream, const StreamParams& params) {
  stream_format<TileFormat<Layout::kInt8>>(stream, params);
}
void stream_int8_half(Stream stream, const StreamParams& params) {
  stream_format<TileFormat<Layout::kInt8Half>>(stream, params);
}

}  // namespace hachi::ops::cuda
