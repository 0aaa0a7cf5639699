#include "kernels/cuda/stream_kernel.cuh"

namespace hachi::ops::cuda {
namespace {

template <int kRows>
using kInt4Format = TileFormat<Layout::kInt4, kRows>;
template <int kRows>
using kInt4MinFormat = TileFormat<Layout::kInt4Min, kRows>;
template <int kRows>
using kInt8Format = TileFormat<Layout::kInt8, kRows>;
template <int kRows>
using kInt8HalfFormat = TileFormat<Layout::kInt8Half, kRows>;

}  // namespace

void stream_int4(Stream stream, const StreamParams& params) {
  stream_format<kInt4Format>(stream, params);
}
void stream_int4_min(Stream stream, const StreamParams& params) {
  stream_format<kInt4MinFormat>(stream, params);
}
void stream_int8(Stream stream, const StreamParams& params) {
  stream_format<kInt8Format>(stream, params);
}
void stream_int8_half(Stream stream, const StreamParams& params) {
  stream_format<kInt8HalfFormat>(stream, params);
}

}  // namespace hachi::ops::cuda
