// The ops on a GPU: each picks the kernels for its number of rows and puts them into the queue.
#include <algorithm>

#include "kernels/checks.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/stream_matmul.h"
#include "kernels/cuda_ops.h"

namespace hachi::ops::cuda {
namespace {

Rows rows_of(ConstTensor x) {
  return {const_cast<std::byte*>(x.data()), x.dtype(), x.stride_bytes(0) / row_bytes(x.dtype(), 1)};
}

// x as the rows of a product of many: bf16, or f32 for f32 weights; normed first if `norm` is
// there. `room` has as many bytes as x.
ConstTensor product_rows(Device& gpu, ConstTensor x, ConstTensor norm, float eps, Tensor room,
                         const Matrix& w) {
  const DType type = w.layout == Layout::kF32 ? DType::kF32 : DType::kBF16;
  if (!norm && x.dtype() == type) return x;
  const Tensor to(room.data(), type, {x.size(0), x.size(1)});
  if (norm) {
    rms_norm(gpu.stream(), rows_of(to), rows_of(x), norm.as<float>(), eps, x.size(0), 1, x.size(1));
  } else {
    convert(gpu.stream(), rows_of(to), rows_of(x), x.size(0), x.size(1));
  }
  return to;
}

// The products of few rows: those with one layout in one launch.
void stream_products(Device& gpu, std::span<const Product> products, ConstTensor x,
                     ConstTensor norm, float eps) {
  while (!products.empty()) {
    const Operand operand = operand_of(gpu, x, norm, products[0].w->placed);
    products = products.subspan(
        stream_first(gpu, products, operand, x.size(0), {.finish = Finish::kStore, .eps = eps}));
  }
}

}  // namespace

void add(Context& ctx, Tensor x, ConstTensor y) {
  Device& gpu = device_of(ctx);
  gpu.written(x.data());
  add(gpu.stream(), rows_of(x), rows_of(y), x.size(0), x.size(1));
}

void embed(Context& ctx, Tensor y, int64_t rows, const Weight& table, float scale) {
  Device& gpu = device_of(ctx);
  CHECK_EQ(gpu.batch().num_tokens, rows);
  const Layout layout = table.placed.layout;
  const DType type = layout == Layout::kF32 ? DType::kF32 : DType::kBF16;
  CHECK(layout == Layout::kF32 || layout == Layout::kBF16);
  gpu.written(y.data());
  embed(gpu.stream(), rows_of(y), gpu.batch().ids, table.placed.data, type, scale, rows, y.size(1));
}

void gather(Context& ctx, Tensor y, ConstTensor x, std::span<const int64_t> rows) {
  Device& gpu = device_of(ctx);
  gpu.written(y.data());
  constexpr size_t kAtOnce = 64;
  for (size_t i = 0; i < rows.size(); i += kAtOnce) {
    const auto part = rows.subspan(i, std::min(kAtOnce, rows.size() - i));
    const auto count = static_cast<int64_t>(part.size());
    gather(gpu.stream(), rows_of(y.rows(static_cast<int64_t>(i), count)), rows_of(x), part.data(),
           count, x.size(1));
  }
}

void rms_norm(Context& ctx, Tensor y, ConstTensor x, ConstTensor w, float eps) {
  Device& gpu = device_of(ctx);
  gpu.written(y.data());
  rms_norm(gpu.stream(), rows_of(y), rows_of(x), w.as<float>(), eps, x.size(0), 1, x.size(1));
}

void rope_angles(Context& ctx, Tensor cos_sin, std::span<const float> inv_freq, float magnitude) {
  Device& gpu = device_of(ctx);
  CHECK_EQ(gpu.batch().num_tokens, cos_sin.size(0));
  rope_angles(gpu.stream(), reinterpret_cast<float*>(cos_sin.data()), gpu.batch().positions,
              gpu.constants(inv_freq), magnitude, cos_sin.size(0), cos_sin.size(1));
}

void norm_matmul(Context& ctx, std::span<const Product> products, ConstTensor x, ConstTensor norm,
                 float eps, Tensor normed) {
  Device& gpu = device_of(ctx);
  if (x.size(0) == 0) return;
  if (streams(gpu, products, x.size(0))) return stream_products(gpu, products, x, norm, eps);
  if (multiply_made(gpu, products, x, norm, eps, false)) return;
  const ConstTensor rows = product_rows(gpu, x, norm, eps, normed, products[0].w->placed);
  gpu.written(normed.data());
  multiply_rows(gpu, products, rows, false);
}

void matmul(Context& ctx, std::span<const Product> products, ConstTensor x) {
  Device& gpu = device_of(ctx);
  if (x.size(0) == 0) return;
  if (streams(gpu, products, x.size(0))) return stream_products(gpu, products, x, {}, 0);
  for (const Product& product : products) gpu.written(product.y.data());
  multiply_rows(gpu, products, x, false);
}

void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w, const Reader& next) {
  Device& gpu = device_of(ctx);
  if (x.size(0) == 0) return;
  const Product product{y, &w};
  if (!streams(gpu, {&product, 1}, x.size(0))) {
    gpu.written(y.data());
    return multiply_rows(gpu, {&product, 1}, x, true);
  }
  StreamMatmul args;
  args.rows = static_cast<int>(x.size(0));
  args.w[0] = w.placed;
  args.x = operand_of(gpu, x, {}, w.placed);
  args.finish = Finish::kAdd;
  args.y[0] = y.data();
  args.y_stride = rows_of(y).stride;
  gpu.written(y.data());
  args.next = operand_for(gpu, y, next);
  args.next_norm = next.norm.as<float>();
  stream_matmul(gpu.stream(), args);
}

void norm_gated_matmul(Context& ctx, const GatedMatmul& args) {
  Device& gpu = device_of(ctx);
  const int64_t rows = args.x.size(0);
  const int64_t width = args.y.size(1);
  if (rows == 0) return;
  const Product products[] = {{args.gate_up.columns(0, width), args.gate},
                              {args.gate_up.columns(width, width), args.up}};
  const Matrix& gate = args.gate->placed;
  gpu.written(args.y.data());
  if (!streams(gpu, products, rows) || gate.layout != args.up->placed.layout) {
    if (gate_f8(gpu, args)) return;
    norm_matmul(ctx, products, args.x, args.norm, args.eps, args.normed);
    if (leave_gated(gpu, args)) return;
    return gated(gpu.stream(), rows_of(args.y), rows_of(args.gate_up),
                 args.activation == Gate::kGelu, rows, width);
  }
  StreamMatmul stream;
  stream.rows = static_cast<int>(rows);
  stream.num_products = 2;
  stream.w[0] = gate;
  stream.w[1] = args.up->placed;
  stream.x = operand_of(gpu, args.x, args.norm, gate);
  stream.eps = args.eps;
  stream.finish = args.activation == Gate::kGelu ? Finish::kGeglu : Finish::kSwiglu;
  stream.y_type = args.y.dtype();
  stream.y[0] = args.y.data();
  stream.y_stride = rows_of(args.y).stride;
  stream.next = operand_for(gpu, args.y, args.next);
  if (stream.next.rows != nullptr) stream.y[0] = nullptr;  // nobody else reads it
  stream_matmul(gpu.stream(), stream);
}

void attend(Context& ctx, const Attend& args, const BatchView& batch) {
  Device& gpu = device_of(ctx);
  const int64_t rows = args.q.size(0);
  if (rows == 0) return;
  check_batch(batch, args.kv.values.size(0), rows);
  CHECK_EQ(gpu.batch().num_tokens, rows);
  Attention attention;
  attention.num_kv_heads = args.kv.keys.size(1);
  attention.head_dim = args.kv.keys.size(3);
  attention.num_heads = args.q.size(1) / attention.head_dim;
  attention.type = args.q.dtype();
  attention.q = args.q.data();
  attention.k = args.k.data();
  attention.v = args.v.data();
  attention.stride = rows_of(args.q).stride;
  attention.query_norm = args.query_norm.as<float>();
  attention.key_norm = args.key_norm.as<float>();
  attention.eps = args.eps;
  attention.cos_sin = args.cos_sin.as<float>();
  attention.interleaved = args.layout == RopeLayout::kInterleaved;
  attention.kv = {.keys = args.kv.keys.data(),
                  .values = args.kv.values.data(),
                  .page_bytes = args.kv.keys.stride_bytes(0),
                  .dtype = args.kv.keys.dtype()};
  attention.batch = gpu.batch();
  attention.score_scale = args.score_scale;
  attention.window = args.window;
  attention.y = args.y.data();
  attention.workspace = gpu.workspace(
      static_cast<uint64_t>(attention_workspace(rows, attention.num_heads, attention.head_dim)));
  gpu.written(args.y.data());
  if (!gpu.one_token_each() || gpu.deterministic()) {
    const int64_t singles = gpu.deterministic() ? 0 : gpu.num_singles();
    return attend_mixed(gpu.stream(), attention, gpu.max_context(), singles);
  }
  attention.next = operand_for(gpu, args.y, args.next);
  attend_one(gpu.stream(), attention);
}

}  // namespace hachi::ops::cuda
