#include "kernels/cuda/products.h"

#include <algorithm>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/stream_matmul.h"
#include "kernels/cuda/tiles.h"

namespace hachi::ops::cuda {
namespace {

// Weights that are unpacked for a product at once.
constexpr int64_t kUnpackedBytes = 128 << 20;

Rows rows_of(ConstTensor x) {
  return {const_cast<std::byte*>(x.data()), x.dtype(), x.stride_bytes(0) / row_bytes(x.dtype(), 1)};
}

Gemm gemm_of(Tensor y, ConstTensor x, const Matrix& w, bool add) {
  return {.rows = x.size(0),
          .w = w,
          .x = x.data(),
          .y = y.data(),
          .y_type = y.dtype(),
          .y_stride = y.stride_bytes(0) / row_bytes(y.dtype(), 1),
          .add = add};
}

// With x in e4m3 too, one scale for a row or for 128 of its elements, if cuBLASLt has that.
bool multiply_f8(Device& gpu, Tensor y, ConstTensor x, const Matrix& w, bool add) {
  const int64_t rows = x.size(0);
  const int64_t room = (rows + kGemmRows - 1) / kGemmRows * kGemmRows;
  const bool blocks = w.span == ScaleSpan::kBlock128;
  // Rows that cuBLASLt adds have no room in y.
  if (blocks && (room != rows || gpu.deterministic())) return false;
  const int64_t scales = blocks ? (w.inputs + 127) / 128 * room : room;
  const auto row_bytes = static_cast<uint64_t>(room * w.inputs + 255) / 256 * 256;
  std::byte* memory = gpu.scratch(row_bytes + static_cast<uint64_t>(scales) * sizeof(float));
  const Quantized to{.rows = reinterpret_cast<uint8_t*>(memory),
                     .scales = reinterpret_cast<float*>(memory + row_bytes),
                     .span = w.span,
                     .scale_stride = room};
  Gemm gemm = gemm_of(y, x, w, add);
  gemm.x = to.rows;
  gemm.x_scale = to.scales;
  if (!gpu.gemm().takes(gemm)) return false;
  quantize_rows(gpu.stream(), to, rows_of(x), nullptr, 0, rows, w.inputs);
  gpu.gemm().run(gpu.stream(), gemm);
  return true;
}

// Unpacks some of the weights at a time.
void multiply_unpacked(Device& gpu, Tensor y, ConstTensor x, const Matrix& w, bool add) {
  std::byte* unpacked = gpu.scratch(kUnpackedBytes);
  const int64_t most = kUnpackedBytes / (w.inputs * static_cast<int64_t>(sizeof(uint16_t)));
  const int64_t step = most / 128 * 128;
  CHECK_GT(step, 0);
  for (int64_t begin = 0; begin < w.outputs; begin += step) {
    const int64_t count = std::min(step, w.outputs - begin);
    unpack_bf16(gpu.stream(), unpacked, w, begin, count);
    const Matrix part{
        .layout = Layout::kBF16, .outputs = count, .inputs = w.inputs, .data = unpacked};
    gpu.gemm().run(gpu.stream(), gemm_of(y.columns(begin, count), x, part, add));
  }
}

// Makes a's product the one of both, if their weights and their results lie side by side.
bool join(Gemm& a, const Gemm& b) {
  if (a.w.layout != Layout::kBF16 || b.w.layout != Layout::kBF16) return false;
  const auto bytes = static_cast<size_t>(a.w.outputs * a.w.inputs) * sizeof(uint16_t);
  if (static_cast<const std::byte*>(a.w.data) + bytes != b.w.data) return false;
  if (static_cast<std::byte*>(a.y) + row_bytes(a.y_type, a.w.outputs) != b.y) return false;
  if (a.y_stride != b.y_stride || a.w.outputs + b.w.outputs > a.y_stride) return false;
  a.w.outputs += b.w.outputs;
  return true;
}

// Rows up to which reading the weights again for each four is faster than the way of many rows,
// which unpacks tiles to bf16 (docs/kernels.md).
int64_t most_streamed_rows(const Matrix& w) {
  if (w.layout == Layout::kBF16) return 4;
  return w.layout == Layout::kF8 ? 8 : kMaxStreamRows;
}

}  // namespace

OperandType operand_type(const Matrix& w) {
  return w.layout == Layout::kBF16 || w.layout == Layout::kF8 ? OperandType::kBF16
                                                              : OperandType::kInt8;
}

bool streams(const Device& gpu, std::span<const Product> products, int64_t rows) {
  return !gpu.deterministic() &&
         std::all_of(products.begin(), products.end(), [&](const Product& product) {
           const Matrix& w = product.w->placed;
           return rows <= most_streamed_rows(w) && w.inputs <= Device::kMaxOperandInputs &&
                  streams(w);
         });
}

Operand operand_of(Device& gpu, ConstTensor x, ConstTensor norm, const Matrix& w) {
  const int64_t rows = x.size(0);
  const auto* weight = norm.as<float>();
  const OperandType type = operand_type(w);
  if (const auto there = gpu.staged(x.data(), weight, rows, type)) return *there;
  const Operand operand = gpu.stage_for(x.data(), weight, rows, type);
  const Rows from = rows_of(x);
  stage(gpu.stream(), operand, from.data, from.type, from.stride, weight, static_cast<int>(rows),
        x.size(1));
  return operand;
}

Operand operand_for(Device& gpu, ConstTensor y, const Reader& next) {
  if (next.w == nullptr) return {};
  const Product reader{{}, next.w};
  if (!streams(gpu, {&reader, 1}, y.size(0))) return {};
  return gpu.stage_for(y.data(), next.norm.as<float>(), y.size(0), operand_type(next.w->placed));
}

void multiply_rows(Device& gpu, std::span<const Product> products, ConstTensor x, bool add) {
  for (size_t i = 0; i < products.size(); ++i) {
    const Matrix& w = products[i].w->placed;
    const Tensor y = products[i].y;
    if (w.layout == Layout::kF32) {
      plain_matmul(gpu.stream(), rows_of(y), rows_of(x), static_cast<const float*>(w.data), add,
                   x.size(0), w.outputs, w.inputs);
    } else if (w.layout == Layout::kBF16) {
      Gemm gemm = gemm_of(y, x, w, add);
      while (i + 1 < products.size() &&
             join(gemm, gemm_of(products[i + 1].y, x, products[i + 1].w->placed, add))) {
        ++i;
      }
      gpu.gemm().run(gpu.stream(), gemm);
    } else if (w.layout != Layout::kF8 || !multiply_f8(gpu, y, x, w, add)) {
      multiply_unpacked(gpu, y, x, w, add);
    }
  }
}

}  // namespace hachi::ops::cuda
