#include <cuda_bf16.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operand.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/stream_matmul.h"
#include "kernels/cuda/stream_params.cuh"
#include "kernels/cuda/tensor_map.cuh"
#include "kernels/cuda/tile_format.h"

namespace hachi::ops::cuda {
namespace {

// A row of x of this many elements has room beside the ring.
constexpr int64_t kMaxStreamInputs = 65536;
constexpr int64_t kMaxStreamOutputs = int64_t{1} << 30;

OperandType operand_of(Layout layout) {
  return chunk_format(layout).weight_bytes > 0 ? OperandType::kInt8 : OperandType::kBF16;
}

void check_arguments(const StreamMatmul& args) {
  const Matrix& w = args.w[0];
  CHECK(args.rows >= 1 && args.rows <= kMaxStreamRows);
  CHECK(args.num_products >= 1 && args.num_products <= StreamMatmul::kMaxProducts);
  for (int i = 0; i < args.num_products; ++i) {
    CHECK(streams(args.w[i]));
    CHECK(args.w[i].layout == w.layout && args.w[i].inputs == w.inputs);
    if (args.x.type == OperandType::kE4M3) CHECK(args.w[i].span != ScaleSpan::kBlock128);
  }
  if (args.x.type == OperandType::kE4M3) {
    CHECK(w.layout == Layout::kF8 && w.inputs % 128 == 0);
  } else {
    CHECK(args.x.type == operand_of(w.layout));
  }
  if (is_gated(args.finish)) CHECK(args.num_products == 2 && args.w[1].outputs == w.outputs);
  if (args.finish == Finish::kAdd) CHECK(args.y_type == DType::kF32);
  const bool one_y = args.num_products == 1 || is_gated(args.finish);
  if (args.next.rows != nullptr) CHECK(one_y);
  CHECK(args.y[0] != nullptr || (is_gated(args.finish) && args.next.rows != nullptr));
}

// Whether strip_bf16() is faster, if it can.
bool strips(const StreamParams& params) {
  constexpr int kMostStreamed = 4;
  const bool leaves_bf16 = params.next.rows == nullptr || params.next.type == OperandType::kBF16;
  return params.rows > kMostStreamed && params.inputs % 64 == 0 && leaves_bf16;
}

void run(Stream stream, Layout layout, const StreamParams& params) {
  switch (layout) {
    case Layout::kBF16:
      return strips(params) ? strip_bf16(stream, params) : stream_bf16(stream, params);
    case Layout::kF8:
      return params.x_scales != nullptr ? strip_f8(stream, params) : stream_f8(stream, params);
    case Layout::kInt4:
      return stream_int4(stream, params);
    case Layout::kInt4Min:
      return stream_int4_min(stream, params);
    case Layout::kInt8:
      return stream_int8(stream, params);
    case Layout::kInt8Half:
      return stream_int8_half(stream, params);
    case Layout::kF32:
      break;
  }
  CHECK(false);
}

// A warp stages 32 elements.
template <class T>
__global__ void stage_kernel(Operand to, const T* x, int64_t stride, const float* norm, int rows,
                             int inputs) {
  launch_dependents();
  wait_for_earlier_kernels();
  const int groups = inputs / 32;
  const int group = static_cast<int>(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (group >= rows * groups) return;
  const int row = group / groups;
  const int column = group % groups * 32 + lane;
  float value = static_cast<float>(x[row * stride + column]);
  if (to.squares != nullptr) {
    const float squares = warp_sum(value * value);
    if (lane == 0) to.squares[group] = squares;
  }
  if (norm != nullptr) value *= norm[column];
  const int64_t index = static_cast<int64_t>(group) * 32 + lane;
  if (to.type == OperandType::kInt8)
    write_operand_int8(to, index, value, lane);
  else
    write_operand_bf16(to, index, value);
}

}  // namespace

bool streams(const Matrix& w) {
  const int64_t unit = operand_of(w.layout) == OperandType::kInt8 ? 2 * kChunkColumns : 32;
  return w.layout != Layout::kF32 && w.outputs > 0 && w.outputs % 32 == 0 &&
         w.outputs <= kMaxStreamOutputs && w.inputs > 0 && w.inputs % unit == 0 &&
         w.inputs <= kMaxStreamInputs;
}

StreamParams rows_of(const StreamParams& all, int first, int count) {
  StreamParams part = all;
  part.rows = count;
  const int64_t groups = all.inputs / 32;
  const OperandType type = all.x_groups == nullptr ? OperandType::kBF16 : OperandType::kInt8;
  part.x += static_cast<int64_t>(first) * operand_row_bytes(type, all.inputs);
  if (all.x_groups != nullptr) part.x_groups += first * groups;
  if (all.x_squares != nullptr) part.x_squares += first * groups;
  for (StreamParams::Product& product : part.products) {
    if (product.y == nullptr) continue;
    product.y = static_cast<uint8_t*>(product.y) + first * all.y_stride * (all.y_is_bf16 ? 2 : 4);
  }
  if (all.next.rows == nullptr) return part;
  const int outputs = all.products[0].outputs;
  part.next.rows = static_cast<uint8_t*>(all.next.rows) +
                   static_cast<int64_t>(first) * operand_row_bytes(all.next.type, outputs);
  if (all.next.groups != nullptr) part.next.groups += first * (outputs / 32);
  if (all.next.squares != nullptr) part.next.squares += first * (outputs / 32);
  return part;
}

void map_matrices(StreamParams& params, int box_rows, int box_bytes, int panels) {
  for (int i = 0; i < StreamMatmul::kMaxProducts && params.products[i].data != nullptr; ++i) {
    const StreamParams::Product& product = params.products[i];
    params.maps[i] = map_of({.data = product.data,
                             .rows = product.outputs,
                             .row_bytes = int64_t{params.inputs} * params.element_bytes,
                             .box_rows = box_rows,
                             .box_bytes = box_bytes,
                             .panels = panels});
  }
}

void stream_matmul(Stream stream, const StreamMatmul& args) {
  check_arguments(args);
  StreamParams params = {};
  params.rows = args.rows;
  params.inputs = static_cast<int>(args.w[0].inputs);
  params.element_bytes = args.w[0].layout == Layout::kBF16 ? 2 : 1;
  params.x = static_cast<const uint8_t*>(args.x.rows);
  if (args.x.type == OperandType::kInt8) params.x_groups = args.x.groups;
  if (args.x.type == OperandType::kE4M3) params.x_scales = args.x.scales;
  params.x_squares = args.x.squares;
  params.eps = args.eps;
  params.finish = args.finish;
  params.y_is_bf16 = args.y_type == DType::kBF16;
  params.y_stride = args.y_stride;
  params.next = args.next;
  params.next_norm = args.next_norm;
  // What is made of 32 outputs needs them in one CTA; else 16 spread more evenly over the CTAs.
  const bool needs_pairs = args.next.rows != nullptr &&
                           (args.next.type == OperandType::kInt8 || args.next.squares != nullptr);
  params.group_outputs = needs_pairs ? 2 * kTileRows : kTileRows;
  for (int i = 0; i < args.num_products; ++i) {
    const Matrix& w = args.w[i];
    params.products[i] = {static_cast<const uint8_t*>(w.data),
                          w.scales,
                          w.span,
                          is_gated(args.finish) && i > 0 ? nullptr : args.y[i],
                          static_cast<int>(w.outputs),
                          static_cast<int>(w.outputs) / params.group_outputs};
    if (w.layout != Layout::kF8) params.products[i].scales = nullptr;
    if (is_gated(args.finish) && i > 0) continue;
    params.num_groups += params.products[i].groups;
  }
  run(stream, args.w[0].layout, params);
}

void stage(Stream stream, Operand to, const void* x, DType x_type, int64_t stride,
           const float* norm, int rows, int64_t inputs) {
  CHECK(inputs > 0 && inputs % 32 == 0 && rows > 0);
  CHECK(x_type == DType::kF32 || x_type == DType::kBF16);
  constexpr int64_t kWarps = 8;
  const int64_t groups = rows * inputs / 32;
  const dim3 grid(static_cast<unsigned>((groups + kWarps - 1) / kWarps));
  const dim3 block(32 * kWarps);
  if (x_type == DType::kF32) {
    launch(stream, stage_kernel<float>, grid, block, 0, to, static_cast<const float*>(x), stride,
           norm, rows, static_cast<int>(inputs));
  } else {
    launch(stream, stage_kernel<__nv_bfloat16>, grid, block, 0, to,
           static_cast<const __nv_bfloat16*>(x), stride, norm, rows, static_cast<int>(inputs));
  }
}

}  // namespace hachi::ops::cuda
