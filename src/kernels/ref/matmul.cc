#include <vector>

#include "kernels/int8_row.h"
#include "kernels/ref/ref.h"
#include "kernels/unpack.h"
#include "kernels/weight_blocks.h"

namespace hachi::ops::ref {
namespace {

void multiply_floats(Context& ctx, Tensor y, ConstTensor x, const Weight& w, bool add) {
  const int64_t inputs = x.size(1);
  std::vector<float> row(static_cast<size_t>(inputs));
  for (int64_t o = 0; o < y.size(1); ++o) {
    dequantize(ctx, Tensor(row.data(), DType::kF32, {1, inputs}), w, o);
    for (int64_t t = 0; t < y.size(0); ++t) {
      double sum = add ? y.row<float>(t)[o] : 0.0;
      for (int64_t i = 0; i < inputs; ++i) {
        sum += static_cast<double>(x.row<float>(t)[i]) * row[static_cast<size_t>(i)];
      }
      y.row<float>(t)[o] = static_cast<float>(sum);
    }
  }
}

// A row of x or of w as bytes, with all that belongs to them.
struct Bytes {
  explicit Bytes(int64_t n)
      : q(static_cast<size_t>(n)),
        scales(static_cast<size_t>(n / kGroup)),
        shifts(static_cast<size_t>(n / kGroup)) {}
  std::vector<int8_t> q;
  std::vector<float> scales;
  std::vector<float> shifts;  // sums of x, mins of w
};

double dot(const Bytes& x, const Bytes& w) {
  double sum = 0;
  for (size_t group = 0; group < w.scales.size(); ++group) {
    int products = 0;
    for (size_t i = group * kGroup; i < (group + 1) * kGroup; ++i) products += x.q[i] * w.q[i];
    sum += static_cast<double>(x.scales[group / 2]) * w.scales[group] * products;
    sum += static_cast<double>(x.shifts[group]) * w.shifts[group];
  }
  return sum;
}

void multiply_blocks(Tensor y, ConstTensor x, const Weight& w, bool add) {
  const DType type = w.values.dtype();
  const int64_t inputs = x.size(1);
  std::vector<Bytes> tokens(static_cast<size_t>(y.size(0)), Bytes(inputs));
  for (int64_t t = 0; t < y.size(0); ++t) {
    Bytes& token = tokens[static_cast<size_t>(t)];
    round_to_int8(type, x.row<float>(t), inputs,
                  {token.q.data(), token.scales.data(), token.shifts.data()});
  }
  Bytes row(inputs);
  std::vector<std::byte> scratch(static_cast<size_t>(row_bytes(type, inputs)));
  for (int64_t o = 0; o < y.size(1); ++o) {
    const std::byte* blocks = weight_blocks(w, o, 0, inputs, scratch.data());
    unpack(type, blocks, inputs, {row.q.data(), row.scales.data(), row.shifts.data()});
    for (int64_t t = 0; t < y.size(0); ++t) {
      float& out = y.row<float>(t)[o];
      out = static_cast<float>((add ? out : 0.0) + dot(tokens[static_cast<size_t>(t)], row));
    }
  }
}

void multiply(Context& ctx, Tensor y, ConstTensor x, const Weight& w, bool add) {
  if (is_block_type(w.values.dtype())) {
    multiply_blocks(y, x, w, add);
  } else {
    multiply_floats(ctx, y, x, w, add);
  }
}

}  // namespace

void matmul(Context& ctx, Tensor y, ConstTensor x, const Weight& w) {
  multiply(ctx, y, x, w, false);
}

void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w) {
  multiply(ctx, y, x, w, true);
}

}  // namespace hachi::ops::ref
