#include "kernels/cuda/batch_kernel.cuh"
#include "kernels/cuda/operand.cuh"
#include "kernels/cuda/tensor_map.cuh"

namespace hachi::ops::cuda {
namespace {

using batch::Params;

constexpr int kMultiprocessors = 132;  // of the chips that this is for
constexpr int kMostCtas = 3 * kMultiprocessors;
constexpr int kMaxParts = 4;
constexpr int64_t kLeastColumns = 1024;  // of a part, or its start costs more than it saves
constexpr int kOrderThreads = 512;

// Parts of the columns, so that the multiprocessors have about as much to do each; whatever T is.
int parts_of(int tiles, int64_t inputs) {
  const auto ctas_of_one = [&](int parts) {
    return (tiles * parts + kMultiprocessors - 1) / kMultiprocessors;
  };
  int best = 1;
  for (int parts = 2; parts <= kMaxParts; parts *= 2) {
    if (inputs / parts < kLeastColumns || tiles * parts > kMostCtas) break;
    if (ctas_of_one(parts) * best <= ctas_of_one(best) * parts) best = parts;
  }
  return best;
}

template <Layout kLayout, int kRows>
void launch_rows(Stream stream, Params& params, const void* x, int tiles) {
  const auto kernel = batch::batch_matmul_kernel<kLayout, kRows>;
  constexpr int kSharedBytes = batch::Shape<kLayout, kRows>::kSharedBytes;
  once_a_device([&] {
    allow_shared_bytes(kernel, kSharedBytes);
    return true;
  });
  params.x_map = map_of({.data = x,
                         .rows = params.rows,
                         .row_bytes = int64_t{params.inputs} * 2,
                         .box_rows = kRows,
                         .panels = batch::Shape<kLayout, kRows>::kBoxes});
  launch_clusters(params.parts, stream, kernel, dim3(static_cast<unsigned>(tiles * params.parts)),
                  dim3(batch::kThreads), kSharedBytes, params);
}

template <Layout kLayout>
void launch_layout(Stream stream, Params& params, const void* x, int tiles) {
  if (params.rows <= 32) return launch_rows<kLayout, 32>(stream, params, x, tiles);
  if (params.rows <= 64) return launch_rows<kLayout, 64>(stream, params, x, tiles);
  if (params.rows <= 128) return launch_rows<kLayout, 128>(stream, params, x, tiles);
  launch_rows<kLayout, kBatchRows>(stream, params, x, tiles);
}

void launch_any(Stream stream, Layout layout, Params& params, const void* x, int tiles) {
  switch (layout) {
    case Layout::kInt4:
      return launch_layout<Layout::kInt4>(stream, params, x, tiles);
    case Layout::kInt4Min:
      return launch_layout<Layout::kInt4Min>(stream, params, x, tiles);
    case Layout::kInt8:
      return launch_layout<Layout::kInt8>(stream, params, x, tiles);
    case Layout::kInt8Half:
      return launch_layout<Layout::kInt8Half>(stream, params, x, tiles);
    default:
      CHECK(false);
  }
}

// Where the columns of a row come from.
struct Source {
  small::View x;
  const float* norm;
  float eps;
  bool gated;
  bool gelu;
  int inputs;

  __device__ void load(int64_t row, int column, float (&v)[small::kVector]) const {
    const int64_t first = row * x.stride + column;
    if (!gated) return small::load(x, first, small::kVector, v);
    float up[small::kVector];
    small::load_pair(x, first, first + inputs, small::kVector, v, up);
#pragma unroll
    for (int k = 0; k < small::kVector; ++k) v[k] = small::gated_value(v[k], up[k], gelu);
  }
};

// 1 / RMS of the row; the order of the sums depends on the width alone.
__device__ float inverse_rms(const Source& from, int64_t row) {
  __shared__ float partials[kOrderThreads / 32];
  float squares = 0;
  for (int c = static_cast<int>(threadIdx.x) * small::kVector; c < from.inputs;
       c += kOrderThreads * small::kVector) {
    float v[small::kVector];
    from.load(row, c, v);
#pragma unroll
    for (int k = 0; k < small::kVector; ++k) squares = fmaf(v[k], v[k], squares);
  }
  squares = warp_sum(squares);
  if (threadIdx.x % 32 == 0) partials[threadIdx.x / 32] = squares;
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float all = warp_sum(lane < kOrderThreads / 32 ? partials[lane] : 0.0f);
  return 1.0f / sqrtf(all / static_cast<float>(from.inputs) + from.eps);
}

// A lane of the matrix unit that has t of four meets slots 2t, 2t + 1, 2t + 8 and 2t + 9 of
// each 16. It holds the weights of columns 8t to 8t + 7 of each 32, four for the first 16 slots and
// four for the others; or (by_16) of columns 4t to 4t + 3 of each 16.
__device__ void store_ordered(uint32_t* group, int column, bool by_16,
                              const float (&v)[small::kVector]) {
  const uint32_t pairs[4] = {small::pack_bf16(v[0], v[1]), small::pack_bf16(v[2], v[3]),
                             small::pack_bf16(v[4], v[5]), small::pack_bf16(v[6], v[7])};
  const int eighth = column % 32 / 8;
  if (by_16) {
    uint32_t* half = group + eighth / 2 * 8 + eighth % 2 * 2;
    *reinterpret_cast<uint2*>(half) = {pairs[0], pairs[2]};
    *reinterpret_cast<uint2*>(half + 4) = {pairs[1], pairs[3]};
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) group[eighth + 4 * i] = pairs[i];
  }
}

// A block has a row, or a part of it if there is no norm.
__global__ void __launch_bounds__(kOrderThreads)
    order_rows_kernel(uint32_t* to, Source from, bool by_16) {
  small::begin();
  const int64_t row = blockIdx.x;
  const float inverse = from.norm != nullptr ? inverse_rms(from, row) : 1.0f;
  uint32_t* out = to + row * (from.inputs / 2);
  const int step = static_cast<int>(gridDim.y) * kOrderThreads * small::kVector;
  for (int c = static_cast<int>(blockIdx.y * kOrderThreads + threadIdx.x) * small::kVector;
       c < from.inputs; c += step) {
    float v[small::kVector];
    from.load(row, c, v);
    if (from.norm != nullptr) {
#pragma unroll
      for (int k = 0; k < small::kVector; ++k) v[k] = v[k] * inverse * from.norm[c + k];
    }
    store_ordered(out + c / 32 * 16, c, by_16, v);
  }
}

}  // namespace

bool batches(const Matrix& w) {
  constexpr int64_t kMost = int64_t{1} << 30;
  return chunk_format(w.layout).weight_bytes > 0 && w.outputs > 0 && w.outputs <= kMost &&
         w.outputs % kTileRows == 0 && w.inputs > 0 && w.inputs <= kMost &&
         w.inputs % kChunkColumns == 0;
}

void batch_matmul(Stream stream, const BatchMatmul& args) {
  CHECK(args.num_products >= 1 && args.num_products <= BatchMatmul::kMaxProducts);
  CHECK(!args.add || args.y_type == DType::kF32);
  CHECK(args.y_type == DType::kF32 || args.y_type == DType::kBF16);
  CHECK_EQ(args.y_stride % 4, 0);
  const Matrix& first = args.w[0];
  Params params = {};
  params.inputs = static_cast<int>(first.inputs);
  params.add = args.add;
  params.y_is_bf16 = args.y_type == DType::kBF16;
  params.y_stride = args.y_stride;
  int tiles = 0;
  for (int i = 0; i < args.num_products; ++i) {
    const Matrix& w = args.w[i];
    CHECK(batches(w) && w.layout == first.layout && w.inputs == first.inputs);
    CHECK_EQ(reinterpret_cast<uintptr_t>(args.y[i]) % 16, 0U);
    params.products[i] = {
        static_cast<const uint8_t*>(w.data), args.y[i], static_cast<int>(w.outputs),
        static_cast<int>((w.outputs + batch::kTileOutputs - 1) / batch::kTileOutputs)};
    tiles += params.products[i].tiles;
  }
  params.parts = parts_of(tiles, first.inputs);
  const auto* x = static_cast<const uint8_t*>(args.x);
  for (int64_t row = 0; row < args.rows; row += kBatchRows) {
    params.rows = static_cast<int>(std::min<int64_t>(kBatchRows, args.rows - row));
    launch_any(stream, first.layout, params, x + row * first.inputs * 2, tiles);
    for (int i = 0; i < args.num_products; ++i) {
      params.products[i].y = static_cast<uint8_t*>(params.products[i].y) +
                             kBatchRows * args.y_stride * (params.y_is_bf16 ? 2 : 4);
    }
  }
}

void order_rows(Stream stream, void* to, const RowSource& from, Layout layout, int64_t rows,
                int64_t inputs) {
  if (rows == 0) return;
  CHECK_EQ(inputs % 32, 0);
  const Source source{small::view(from.x, inputs), from.norm, from.eps, from.gated, from.gelu,
                      static_cast<int>(inputs)};
  constexpr int64_t kBlock = kOrderThreads * small::kVector;
  const int64_t blocks = from.norm != nullptr ? 1 : (inputs + kBlock - 1) / kBlock;
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(blocks));
  launch(stream, order_rows_kernel, grid, dim3(kOrderThreads), 0, static_cast<uint32_t*>(to),
         source, layout == Layout::kInt8Half);
}

}  // namespace hachi::ops::cuda
