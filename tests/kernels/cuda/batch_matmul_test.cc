// Products of some tens of rows against plain loops in double over the same rounded numbers.
#include "kernels/cuda/batch_matmul.h"

#include <cmath>
#include <string>

#include "stream_data.h"

namespace hachi::ops::cuda {
namespace {

constexpr Layout kLayouts[] = {Layout::kInt4, Layout::kInt4Min, Layout::kInt8, Layout::kInt8Half};

float rounded(double value) { return bf16_to_f32(f32_to_bf16(static_cast<float>(value))); }

// The place in a row of order_rows() of a column.
size_t place_of(Layout layout, size_t column) {
  const size_t c = column % 32;
  const bool by_16 = layout == Layout::kInt8Half;
  const size_t step = by_16 ? c / 16 : c % 8 / 4;
  const size_t lane = by_16 ? c % 16 / 4 : c / 8;
  const size_t i = c % 4;
  return column - c + 16 * step + 2 * lane + (i < 2 ? i : 6 + i);
}

struct Rounded {
  std::vector<float> values;  // [T,I], of bf16
  std::unique_ptr<DeviceArray<uint16_t>> ordered;
};

Rounded make_x(Random& random, Layout layout, int64_t rows, int64_t inputs) {
  const std::vector<float> x = random_floats(random, static_cast<size_t>(rows * inputs), 3.0f);
  Rounded made;
  for (const float value : x) made.values.push_back(rounded(value));
  made.ordered = std::make_unique<DeviceArray<uint16_t>>(x.size());
  const DeviceArray<float> device_x(x);
  order_rows(nullptr, made.ordered->data(), {.x = {device_x.data(), DType::kF32, inputs}}, layout,
             rows, inputs);
  expect_success();
  return made;
}

// x W^T + before, and by how much it may be off.
void expect_product(float y, const TestMatrix& w, const float* x, int64_t output, double before,
                    double rounding) {
  const auto inputs = static_cast<size_t>(w.view.inputs);
  double sum = before;
  double magnitude = std::abs(before);
  for (size_t i = 0; i < inputs; ++i) {
    const double term =
        rounded(w.values[static_cast<size_t>(output) * inputs + i]) * static_cast<double>(x[i]);
    sum += term;
    magnitude += std::abs(term);
  }
  ASSERT_NEAR(y, sum, magnitude * 2e-6 + std::abs(sum) * rounding) << "output " << output;
}

void check_add(Layout layout, int64_t rows, int64_t outputs, int64_t inputs) {
  SCOPED_TRACE(testing::Message() << "layout " << static_cast<int>(layout) << ", " << rows << " x "
                                  << outputs << " x " << inputs);
  Random random(static_cast<uint32_t>(rows + outputs + inputs));
  const TestMatrix w = make_matrix(random, layout, ScaleSpan::kMatrix, outputs, inputs);
  const Rounded x = make_x(random, layout, rows, inputs);
  const int64_t stride = outputs + 12;
  const std::vector<float> before =
      random_floats(random, static_cast<size_t>(rows * stride), 10.0f);
  const DeviceArray<float> y(before);
  BatchMatmul args{.rows = rows, .x = x.ordered->data(), .add = true, .y_stride = stride};
  args.w[0] = w.view;
  args.y[0] = y.data();
  ASSERT_TRUE(batches(w.view));
  batch_matmul(nullptr, args);
  expect_success();
  const std::vector<float> got = y.get();
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t o = 0; o < stride; ++o) {
      const auto at = static_cast<size_t>(t * stride + o);
      if (o >= outputs) {
        ASSERT_EQ(got[at], before[at]) << "between rows";
      } else {
        expect_product(got[at], w, x.values.data() + t * inputs, o, before[at], 1e-7);
      }
    }
  }
}

TEST(CudaBatchMatmul, AddsProducts) {
  for (const Layout layout : kLayouts) {
    check_add(layout, 1, 16, 256);
    check_add(layout, 9, 48, 768);
    check_add(layout, 32, 128, 512);
    check_add(layout, 33, 272, 1024);
    check_add(layout, 70, 144, 2048);
    check_add(layout, 130, 32, 256);
    check_add(layout, 192, 272, 4096);
    check_add(layout, 250, 144, 1024);
    check_add(layout, 40, 144, 8192);  // four parts of the columns
  }
}

TEST(CudaBatchMatmul, WritesSeveralProductsInBf16) {
  constexpr int64_t kOutputs[] = {256, 16, 144};
  constexpr int64_t kInputs = 512;
  constexpr int64_t kStride = 256 + 16 + 144;
  for (const Layout layout : kLayouts) {
    for (const int64_t rows : {20, 64}) {
      Random random(7);
      const Rounded x = make_x(random, layout, rows, kInputs);
      const DeviceArray<uint16_t> y(static_cast<size_t>(rows * kStride));
      BatchMatmul args{.rows = rows, .num_products = 3, .x = x.ordered->data()};
      args.y_type = DType::kBF16;
      args.y_stride = kStride;
      std::vector<TestMatrix> w;
      int64_t begin = 0;
      for (int i = 0; i < 3; ++i) {
        w.push_back(make_matrix(random, layout, ScaleSpan::kMatrix, kOutputs[i], kInputs));
        args.w[i] = w.back().view;
        args.y[i] = y.data() + begin;
        begin += kOutputs[i];
      }
      batch_matmul(nullptr, args);
      expect_success();
      const std::vector<uint16_t> got = y.get();
      for (int64_t t = 0; t < rows; ++t) {
        size_t at = static_cast<size_t>(t * kStride);
        for (const TestMatrix& one : w) {
          for (int64_t o = 0; o < one.view.outputs; ++o) {
            expect_product(bf16_to_f32(got[at++]), one, x.values.data() + t * kInputs, o, 0,
                           1.01 / 256);
          }
        }
      }
    }
  }
}

TEST(CudaBatchMatmul, ResultsOfARowDependOnTheRowAlone) {
  constexpr int64_t kOutputs = 256;
  constexpr int64_t kInputs = 4096;
  for (const Layout layout : kLayouts) {
    Random random(3);
    const TestMatrix w = make_matrix(random, layout, ScaleSpan::kMatrix, kOutputs, kInputs);
    constexpr int64_t kMost = 200;
    const Rounded x = make_x(random, layout, kMost, kInputs);
    std::vector<float> alone;
    for (const int64_t rows : {1, 32, 33, 64, 65, 128, 129, 192, 193, 200}) {
      const DeviceArray<float> y(static_cast<size_t>(rows * kOutputs));
      // The last of the rows, among others each time.
      BatchMatmul args{.rows = rows, .x = x.ordered->data() + (kMost - rows) * kInputs};
      args.w[0] = w.view;
      args.y[0] = y.data();
      args.y_stride = kOutputs;
      batch_matmul(nullptr, args);
      expect_success();
      const std::vector<float> got = y.get();
      const std::vector<float> last(got.end() - kOutputs, got.end());
      if (alone.empty()) alone = last;
      EXPECT_EQ(last, alone) << rows;
    }
  }
}

TEST(CudaBatchMatmul, OrdersRows) {
  constexpr int64_t kRows = 5;
  for (const int64_t inputs : {256, 4096, 12288}) {
    for (const Layout layout : {Layout::kInt4, Layout::kInt8Half}) {
      Random random(11);
      const auto count = static_cast<size_t>(kRows * inputs);
      const std::vector<float> x = random_floats(random, 2 * count, 3.0f);
      const std::vector<float> norm = random_floats(random, static_cast<size_t>(inputs), 1.0f);
      const DeviceArray<float> device_x(x);
      const DeviceArray<float> device_norm(norm);
      const DeviceArray<uint16_t> out(count);
      for (const bool gated : {false, true}) {
        RowSource from{.x = {device_x.data(), DType::kF32, 2 * inputs}, .gated = gated};
        if (!gated) from.norm = device_norm.data();
        from.eps = 1e-5f;
        order_rows(nullptr, out.data(), from, layout, kRows, inputs);
        expect_success();
        const std::vector<uint16_t> got = out.get();
        for (size_t t = 0; t < kRows; ++t) {
          const float* row = x.data() + t * 2 * static_cast<size_t>(inputs);
          double squares = 0;
          for (int64_t i = 0; i < inputs; ++i) squares += static_cast<double>(row[i]) * row[i];
          const double inverse = 1 / std::sqrt(squares / static_cast<double>(inputs) + 1e-5);
          for (size_t i = 0; i < static_cast<size_t>(inputs); ++i) {
            const double value = gated ? row[i] / (1 + std::exp(-static_cast<double>(row[i]))) *
                                             row[i + static_cast<size_t>(inputs)]
                                       : row[i] * inverse * norm[i];
            const float stored =
                bf16_to_f32(got[t * static_cast<size_t>(inputs) + place_of(layout, i)]);
            ASSERT_NEAR(stored, value, std::abs(value) * 1.01 / 256 + 1e-30)
                << "row " << t << ", column " << i;
          }
        }
      }
    }
  }
}

TEST(CudaBatchMatmul, SaysWhatItDoesNotTake) {
  EXPECT_FALSE(batches({.layout = Layout::kBF16, .outputs = 64, .inputs = 256}));
  EXPECT_FALSE(batches({.layout = Layout::kInt4, .outputs = 24, .inputs = 256}));
  EXPECT_FALSE(batches({.layout = Layout::kInt8, .outputs = 32, .inputs = 64}));
  EXPECT_TRUE(batches({.layout = Layout::kInt8, .outputs = 16, .inputs = 256}));
}

}  // namespace
}  // namespace hachi::ops::cuda
