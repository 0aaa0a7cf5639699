#include "kernels/cuda/products.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/cuda/elementwise.h"
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

// Room in scratch() for x in e4m3 as weights like `w` meet it; none if cuBLASLt would write rows of
// y that are not there.
std::optional<Quantized> room_for_f8(Device& gpu, const Matrix& w, int64_t rows) {
  const int64_t room = (rows + kGemmRows - 1) / kGemmRows * kGemmRows;
  const bool blocks = w.span == ScaleSpan::kBlock128;
  if (w.layout != Layout::kF8) return std::nullopt;
  if (blocks && (room != rows || gpu.deterministic())) return std::nullopt;
  const int64_t scales = blocks ? (w.inputs + 127) / 128 * room : room;
  const auto row_bytes = static_cast<uint64_t>(room * w.inputs + 255) / 256 * 256;
  std::byte* memory = gpu.scratch(row_bytes + static_cast<uint64_t>(scales) * sizeof(float));
  return Quantized{.rows = reinterpret_cast<uint8_t*>(memory),
                   .scales = reinterpret_cast<float*>(memory + row_bytes),
                   .span = w.span,
                   .scale_stride = room};
}

// Sums of e4m3 stay as the matrix units have them: a sixth faster, and what that rounds is far less
// than what x loses in e4m3 (docs/gpu.md).
Gemm gemm_of(Tensor y, const Quantized& x, int64_t rows, const Matrix& w, bool add) {
  return {.rows = rows,
          .w = w,
          .x = x.rows,
          .x_scale = x.scales,
          .fast = w.span == ScaleSpan::kRow,
          .y = y.data(),
          .y_type = y.dtype(),
          .y_stride = y.stride_bytes(0) / row_bytes(y.dtype(), 1),
          .add = add};
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

// Whether the scales of b follow those of a.
bool joins_scales(const Matrix& a, const Matrix& b) {
  if (a.layout != Layout::kF8) return true;
  if (a.span != b.span || a.scales == nullptr) return false;
  if (a.span == ScaleSpan::kRow) return a.scales + a.outputs == b.scales;
  if (a.span != ScaleSpan::kBlock128 || a.outputs % 128 != 0) return false;
  return a.scales + a.outputs / 128 * ((a.inputs + 127) / 128) == b.scales;
}

// Makes a's product the one of both, if their weights and their results lie side by side.
bool join(Gemm& a, const Gemm& b) {
  const Layout layout = a.w.layout;
  if ((layout != Layout::kBF16 && layout != Layout::kF8) || b.w.layout != layout) return false;
  const auto bytes = static_cast<size_t>(matrix_bytes(layout, a.w.outputs, a.w.inputs));
  if (static_cast<const std::byte*>(a.w.data) + bytes != b.w.data) return false;
  if (!joins_scales(a.w, b.w)) return false;
  if (static_cast<std::byte*>(a.y) + row_bytes(a.y_type, a.w.outputs) != b.y) return false;
  if (a.y_stride != b.y_stride || a.w.outputs + b.w.outputs > a.y_stride) return false;
  a.w.outputs += b.w.outputs;
  return true;
}

// Whether a product with w, of the rows left at y's place, will be one that cuBLASLt takes,
// whatever is made of it.
bool takes_left(Device& gpu, const Quantized& x, int64_t rows, const Matrix& w, ConstTensor y) {
  Gemm gemm = gemm_of(Tensor(const_cast<std::byte*>(y.data()), DType::kF32, {rows, w.outputs}), x,
                      rows, w, true);
  bool all = gpu.gemm().takes(gemm);
  gemm.add = false;
  for (const DType type : {DType::kF32, DType::kBF16}) {
    gemm.y_type = type;
    all = all && gpu.gemm().takes(gemm);
  }
  return all;
}

// The products by as few calls as can be; none if one of them cannot be done so.
std::vector<Gemm> gemms_of(Device& gpu, std::span<const Product> products, const Quantized& x,
                           int64_t rows, bool add) {
  std::vector<Gemm> gemms;
  for (const Product& product : products) {
    const Gemm gemm = gemm_of(product.y, x, rows, product.w->placed, add);
    if (gemm.w.layout != Layout::kF8 || gemm.w.span != x.span) return {};
    if (!gpu.gemm().takes(gemm)) return {};
    Gemm both = gemms.empty() ? gemm : gemms.back();
    if (!gemms.empty() && join(both, gemm) && gpu.gemm().takes(both)) {
      gemms.back() = both;
    } else {
      gemms.push_back(gemm);
    }
  }
  return gemms;
}

// Whether there are strips for it that take x in e4m3.
bool takes_f8_strips(const Matrix& w) {
  return w.layout == Layout::kF8 && w.span == ScaleSpan::kRow && w.inputs % 128 == 0 && streams(w);
}

// Rows up to which streaming, which reads plain weights again for each four rows, is faster than
// the way of many (docs/kernels.md).
int64_t most_streamed_rows(const Matrix& w) {
  if (w.layout == Layout::kBF16) return w.inputs % 64 == 0 ? kMaxStreamRows : 4;
  return takes_f8_strips(w) ? 4 : 8;
}

// Rows up to which batch_matmul(), which reads the weights again for each 192, is faster than that.
constexpr int64_t kMostBatchRows = 256;

bool batches(const Device& gpu, std::span<const Product> products, int64_t rows) {
  return rows <= kMostBatchRows && !gpu.deterministic() &&
         std::all_of(products.begin(), products.end(),
                     [](const Product& product) { return batches(product.w->placed); });
}

// The first of the products, as many as go in one launch.
BatchMatmul batch_of(std::span<const Product> products, int64_t rows, const void* x, bool add) {
  BatchMatmul args{.rows = rows, .num_products = 0, .x = x, .add = add};
  args.y_type = products[0].y.dtype();
  args.y_stride = rows_of(products[0].y).stride;
  for (const Product& product : products) {
    const Matrix& w = product.w->placed;
    if (args.num_products == BatchMatmul::kMaxProducts) break;
    if (w.layout != products[0].w->placed.layout) break;
    if (rows_of(product.y).stride != args.y_stride) break;
    args.w[args.num_products] = w;
    args.y[args.num_products++] = product.y.data();
  }
  return args;
}

// Those with one layout in one launch.
void multiply_batch(Device& gpu, std::span<const Product> products, const RowSource& from,
                    int64_t rows, bool add) {
  const int64_t inputs = products[0].w->placed.inputs;
  std::byte* x = gpu.scratch(static_cast<uint64_t>(rows * inputs) * sizeof(uint16_t));
  for (size_t i = 0; i < products.size();) {
    const Layout layout = products[i].w->placed.layout;
    const BatchMatmul args = batch_of(products.subspan(i), rows, x, add);
    order_rows(gpu.stream(), x, from, layout, rows, inputs);
    batch_matmul(gpu.stream(), args);
    i += static_cast<size_t>(args.num_products);
  }
}

// Whether strips take x in e4m3, which is faster than cuBLASLt for so many rows.
bool strips(const Device& gpu, std::span<const Product> products, const Quantized& x,
            int64_t rows) {
  return !gpu.deterministic() && rows <= kMaxStreamRows && x.span == ScaleSpan::kRow &&
         std::all_of(products.begin(), products.end(),
                     [](const Product& product) { return takes_f8_strips(product.w->placed); });
}

void multiply_strips(Device& gpu, std::span<const Product> products, const Quantized& x,
                     int64_t rows, bool add) {
  const Operand operand{.type = OperandType::kE4M3, .rows = x.rows, .scales = x.scales};
  while (!products.empty()) {
    products = products.subspan(stream_first(gpu, products, operand, rows,
                                             {.finish = add ? Finish::kAdd : Finish::kStore}));
  }
}

// False if cuBLASLt has no kernel for one of the products. `left`: x as an earlier op left it.
bool multiply_f8(Device& gpu, std::span<const Product> products, const RowSource& from,
                 const Quantized* left, int64_t rows, bool add) {
  const Matrix& first = products[0].w->placed;
  const std::optional<Quantized> x = left != nullptr ? *left : room_for_f8(gpu, first, rows);
  if (!x) return false;
  const bool by_strips = strips(gpu, products, *x, rows);
  std::vector<Gemm> gemms;
  if (!by_strips) {
    gemms = gemms_of(gpu, products, *x, rows, add);
    if (gemms.empty()) return false;
  }
  if (left == nullptr) {
    quantize_rows(gpu.stream(), *x, from.x, from.norm, from.eps, rows, first.inputs);
  }
  if (by_strips) multiply_strips(gpu, products, *x, rows, add);
  for (const Gemm& gemm : gemms) gpu.gemm().run(gpu.stream(), gemm);
  return true;
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
           return rows <= most_streamed_rows(w) && rows * w.inputs <= Device::kMaxOperand &&
                  streams(w);
         });
}

Operand operand_of(Device& gpu, ConstTensor x, ConstTensor norm, const Matrix& w) {
  const int64_t rows = x.size(0);
  const auto* weight = norm.as<float>();
  const OperandType type = operand_type(w);
  if (const auto there = gpu.staged(x.data(), weight, rows, type)) return *there;
  if (type == OperandType::kBF16 && !norm && x.dtype() == DType::kBF16 &&
      rows_of(x).stride == x.size(1)) {
    return {.type = type, .rows = rows_of(x).data};
  }
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

size_t stream_first(Device& gpu, std::span<const Product> products, const Operand& x, int64_t rows,
                    const StreamEnd& end) {
  StreamMatmul args;
  args.rows = static_cast<int>(rows);
  args.x = x;
  args.eps = end.eps;
  args.finish = end.finish;
  args.y_type = products[0].y.dtype();
  args.y_stride = rows_of(products[0].y).stride;
  args.num_products = 0;
  for (const Product& product : products) {
    if (args.num_products == StreamMatmul::kMaxProducts) break;
    if (product.w->placed.layout != products[0].w->placed.layout) break;
    if (rows_of(product.y).stride != args.y_stride) break;
    args.w[args.num_products] = product.w->placed;
    args.y[args.num_products++] = product.y.data();
    gpu.written(product.y.data());
  }
  stream_matmul(gpu.stream(), args);
  return static_cast<size_t>(args.num_products);
}

bool multiply_made(Device& gpu, std::span<const Product> products, ConstTensor x, ConstTensor norm,
                   float eps, bool add) {
  const auto left = gpu.left(x.data(), x.size(0));
  const RowSource from = left && left->gated.gated
                             ? left->gated
                             : RowSource{.x = rows_of(x), .norm = norm.as<float>(), .eps = eps};
  if (batches(gpu, products, x.size(0))) {
    multiply_batch(gpu, products, from, x.size(0), add);
    return true;
  }
  const bool done = multiply_f8(gpu, products, from, left ? &left->e4m3 : nullptr, x.size(0), add);
  CHECK(done || !left);  // what was left is nowhere else
  return done;
}

bool gate_f8(Device& gpu, const GatedMatmul& args) {
  const int64_t rows = args.x.size(0);
  const Product products[] = {{{}, args.gate}, {{}, args.up}};
  const Matrix& gate = args.gate->placed;
  const auto x = room_for_f8(gpu, gate, rows);
  if (!x || !strips(gpu, products, *x, rows)) return false;
  quantize_rows(gpu.stream(), *x, rows_of(args.x), args.norm.as<float>(), args.eps, rows,
                gate.inputs);
  StreamMatmul product;
  product.rows = static_cast<int>(rows);
  product.num_products = 2;
  product.w[0] = gate;
  product.w[1] = args.up->placed;
  product.x = {.type = OperandType::kE4M3, .rows = x->rows, .scales = x->scales};
  product.finish = args.activation == Gate::kGelu ? Finish::kGeglu : Finish::kSwiglu;
  product.y_type = args.y.dtype();
  product.y[0] = args.y.data();
  product.y_stride = rows_of(args.y).stride;
  stream_matmul(gpu.stream(), product);
  return true;
}

bool leave_gated(Device& gpu, const GatedMatmul& args) {
  if (args.next.w == nullptr || args.next.norm) return false;
  const Matrix& w = args.next.w->placed;
  const int64_t rows = args.y.size(0);
  const bool gelu = args.activation == Gate::kGelu;
  const Product reader{{}, args.next.w};
  if (streams(gpu, {&reader, 1}, rows)) return false;
  Device::Left left{.source = args.y.data(), .rows = rows, .e4m3 = {}, .gated = {}};
  if (batches(gpu, {&reader, 1}, rows)) {
    left.gated = {.x = rows_of(args.gate_up), .gated = true, .gelu = gelu};
  } else {
    const auto to = room_for_f8(gpu, w, rows);
    if (!to || !takes_left(gpu, *to, rows, w, args.x)) return false;
    quantize_gated(gpu.stream(), *to, rows_of(args.gate_up), gelu, rows, args.y.size(1));
    left.e4m3 = *to;
  }
  gpu.leave(left);
  return true;
}

void multiply_rows(Device& gpu, std::span<const Product> products, ConstTensor x, bool add) {
  if (multiply_made(gpu, products, x, {}, 0, add)) return;
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
    } else if (!multiply_made(gpu, {&products[i], 1}, x, {}, 0, add)) {
      multiply_unpacked(gpu, y, x, w, add);
    }
  }
}

}  // namespace hachi::ops::cuda
