// The streamed products against plain loops in double over the same rounded numbers.
#include "kernels/cuda/stream_matmul.h"

#include <cmath>
#include <string>

#include "stream_data.h"

namespace hachi::ops::cuda {
namespace {

OperandType operand_of(Layout layout) {
  return chunk_format(layout).weight_bytes > 0 ? OperandType::kInt8 : OperandType::kBF16;
}

// The staged x of a product with `rows` rows, from fresh numbers.
std::unique_ptr<TestOperand> make_x(Random& random, OperandType type, int rows, int64_t inputs,
                                    bool squares) {
  const size_t count = static_cast<size_t>(rows * inputs);
  const std::vector<float> x = random_floats(random, count, 3.0f);
  const std::vector<float> norm = random_floats(random, static_cast<size_t>(inputs), 1.5f);
  const DeviceArray<float> device_x(x);
  const DeviceArray<float> device_norm(norm);
  if (type == OperandType::kE4M3) return make_f8_operand(random, rows, inputs);
  auto operand = std::make_unique<TestOperand>(type, count, squares);
  stage(nullptr, operand->view, device_x.data(), DType::kF32, inputs, device_norm.data(), rows,
        inputs);
  expect_success();
  expect_staged(*operand, x, norm);
  return operand;
}

// Row `row` of the result, and by how much each may be off.
struct Expected {
  std::vector<double> y;
  std::vector<double> tolerance;
};

Expected expected(const TestMatrix& w, const TestOperand& x, int row, float eps) {
  const auto inputs = static_cast<size_t>(w.view.inputs);
  const std::vector<double> all = x.values();
  const double* values = all.data() + static_cast<size_t>(row) * inputs;
  double factor = 1;
  if (x.view.squares != nullptr) {
    const std::vector<float> sums = x.sums.get();
    double sum = 0;
    for (size_t i = 0; i < inputs / 32; ++i)
      sum += sums[static_cast<size_t>(row) * inputs / 32 + i];
    factor = 1 / std::sqrt(sum / static_cast<double>(inputs) + eps);
  }
  if (x.scales) factor = x.scales->get()[static_cast<size_t>(row)];
  // f32 sums of about 100 parts, each of which the matrix units cut off, not round; of e4m3 they
  // have some 14 bits
  const double slack = x.scales ? 3e-3 : 2e-6;
  Expected result;
  for (int64_t o = 0; o < w.view.outputs; ++o) {
    double sum = 0;
    double magnitude = 0;
    for (size_t i = 0; i < inputs; ++i) {
      const double product = w.values[static_cast<size_t>(o) * inputs + i] * values[i];
      sum += product;
      magnitude += std::abs(product);
    }
    result.y.push_back(sum * factor);
    result.tolerance.push_back(magnitude * std::abs(factor) * slack + 1e-30);
  }
  return result;
}

void expect_near(const std::vector<float>& y, size_t begin, const Expected& e, const char* what) {
  for (size_t i = 0; i < e.y.size(); ++i) {
    ASSERT_LE(std::abs(y[begin + i] - e.y[i]), e.tolerance[i])
        << what << ", output " << i << ": " << y[begin + i] << " for " << e.y[i];
  }
}

struct Kind {
  const char* name;
  Layout layout;
  ScaleSpan span = ScaleSpan::kMatrix;
  int rows = 0;          // of x, if not as many as a test has else
  bool x_is_f8 = false;  // e4m3 with kF8

  OperandType x() const { return x_is_f8 ? OperandType::kE4M3 : operand_of(layout); }
};
constexpr Kind kKinds[] = {
    {"BF16", Layout::kBF16},
    {"BF16FewStrips", Layout::kBF16, ScaleSpan::kMatrix, 5},
    {"BF16Strips", Layout::kBF16, ScaleSpan::kMatrix, 61},
    {"BF16WholeStrips", Layout::kBF16, ScaleSpan::kMatrix, kMaxStreamRows},
    {"F8", Layout::kF8},
    {"F8Row", Layout::kF8, ScaleSpan::kRow},
    {"F8Block", Layout::kF8, ScaleSpan::kBlock128},
    {"F8Strips", Layout::kF8, ScaleSpan::kMatrix, 61, true},
    {"F8RowStrips", Layout::kF8, ScaleSpan::kRow, 5, true},
    {"F8WholeStrips", Layout::kF8, ScaleSpan::kRow, kMaxStreamRows, true},
    {"Int4", Layout::kInt4},
    {"Int4Min", Layout::kInt4Min},
    {"Int8", Layout::kInt8},
    {"Int8Half", Layout::kInt8Half},
};

class StreamMatmulTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (!has_device()) GTEST_SKIP() << "no GPU: the streamed products are not tested";
  }
  const Kind& kind() const { return GetParam(); }
  int rows_or(int rows) const { return kind().rows > 0 ? kind().rows : rows; }
  TestMatrix matrix(int64_t outputs, int64_t inputs) {
    return make_matrix(random_, kind().layout, kind().span, outputs, inputs);
  }
  std::vector<int64_t> inputs() const {
    if (kind().x_is_f8) return {128, 384, 640, 1536, 2688, 9728, 14336};
    if (kind().x() == OperandType::kInt8) return {256, 768, 2560, 9728, 14336};
    return {32, 96, 544, 576, 1536, 2592, 9728, 14336};
  }

  static StreamMatmul product(const TestOperand& x, int rows) {
    StreamMatmul args;
    args.rows = rows;
    args.x = x.view;
    return args;
  }

  Random random_{20};
};

TEST_P(StreamMatmulTest, StoresForAnyInputs) {
  for (int64_t i : inputs()) {
    const TestMatrix w = matrix(i > 2600 ? 32 : 160, i);
    const auto outputs = static_cast<size_t>(w.view.outputs);
    const int most = rows_or(19);  // by default three launches of eight
    const auto x = make_x(random_, kind().x(), most, i, false);
    std::vector<float> first;
    for (int rows : {most, 8, 5, 4, 3, 2, 1}) {
      if (rows > most) continue;
      const DeviceArray<float> y(outputs * static_cast<size_t>(most));
      StreamMatmul args = product(*x, rows);
      args.w[0] = w.view;
      args.y[0] = y.data();
      args.y_stride = w.view.outputs;
      stream_matmul(nullptr, args);
      expect_success();
      const std::vector<float> result = y.get();
      // bf16 has another kernel from five rows on.
      if (rows == most || (rows == 4 && kind().layout == Layout::kBF16)) {
        first = result;
        for (int row = 0; row < rows; ++row) {
          expect_near(result, static_cast<size_t>(row) * outputs, expected(w, *x, row, 0),
                      kind().name);
        }
      }
      // The same bits whatever the number of rows, and nothing behind them.
      for (size_t at = 0; at < result.size(); ++at) {
        if (at < static_cast<size_t>(rows) * outputs) {
          ASSERT_EQ(result[at], first[at]) << at;
        } else {
          ASSERT_TRUE(std::isnan(result[at])) << at;
        }
      }
    }
  }
}

TEST_P(StreamMatmulTest, StoresThreeProductsAfterANorm) {
  const int64_t i = 1536;
  const TestMatrix w[3] = {matrix(2080, i), matrix(32, i), matrix(96, i)};
  const int rows = rows_or(3);
  const auto x = make_x(random_, kind().x(), rows, i, true);
  const size_t stride = 2304;
  const DeviceArray<uint16_t> y(static_cast<size_t>(rows) * stride);
  StreamMatmul args = product(*x, rows);
  args.num_products = 3;
  args.eps = 0.1f;
  args.y_type = DType::kBF16;
  args.y_stride = static_cast<int64_t>(stride);
  const size_t begins[3] = {0, 2080, 2112 + 64};
  for (int p = 0; p < 3; ++p) {
    args.w[p] = w[p].view;
    args.y[p] = y.data() + begins[p];
  }
  stream_matmul(nullptr, args);
  expect_success();
  std::vector<float> result;
  for (uint16_t bits : y.get()) result.push_back(bf16_to_f32(bits));
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    for (int p = 0; p < 3; ++p) {
      Expected e = expected(w[p], *x, static_cast<int>(row), args.eps);
      for (size_t o = 0; o < e.y.size(); ++o) e.tolerance[o] += std::abs(e.y[o]) / 256;
      expect_near(result, row * stride + begins[p], e, kind().name);
    }
    for (size_t o = 2112; o < 2112 + 64; ++o) ASSERT_TRUE(std::isnan(result[row * stride + o]));
  }
}

TEST_P(StreamMatmulTest, AddsAndStagesWhatComesNext) {
  const int64_t i = 768;
  const TestMatrix w = matrix(2080, i);
  const size_t outputs = 2080;
  for (OperandType next_type : {OperandType::kBF16, OperandType::kInt8}) {
    if (kind().x_is_f8 && next_type == OperandType::kInt8) continue;
    for (bool squares : {false, true}) {
      const int rows = rows_or(squares ? 4 : 1);
      const auto x = make_x(random_, kind().x(), rows, i, false);
      const size_t count = static_cast<size_t>(rows) * outputs;
      const std::vector<float> old = random_floats(random_, count, 2.0f);
      const std::vector<float> norm = random_floats(random_, outputs, 2.0f);
      const DeviceArray<float> y(old);
      const DeviceArray<float> device_norm(norm);
      const TestOperand next(next_type, count, squares);
      StreamMatmul args = product(*x, rows);
      args.w[0] = w.view;
      args.finish = Finish::kAdd;
      args.y[0] = y.data();
      args.y_stride = static_cast<int64_t>(outputs);
      args.next = next.view;
      args.next_norm = squares ? device_norm.data() : nullptr;
      stream_matmul(nullptr, args);
      expect_success();
      const std::vector<float> result = y.get();
      for (int row = 0; row < rows; ++row) {
        Expected e = expected(w, *x, row, 0);
        for (size_t o = 0; o < outputs; ++o) {
          const size_t at = static_cast<size_t>(row) * outputs + o;
          e.y[o] += old[at];
          e.tolerance[o] += 1e-7 * (std::abs(old[at]) + std::abs(e.y[o]));
        }
        expect_near(result, static_cast<size_t>(row) * outputs, e, kind().name);
      }
      expect_staged(next, result, squares ? norm : std::vector<float>());
    }
  }
}

TEST_P(StreamMatmulTest, GatesAndStagesWhatComesNext) {
  const int64_t i = 1024;
  const TestMatrix gate = matrix(4256, i);
  const TestMatrix up = matrix(4256, i);
  const size_t outputs = 4256;
  for (Finish finish : {Finish::kSwiglu, Finish::kGeglu}) {
    for (OperandType next_type : {OperandType::kBF16, OperandType::kInt8}) {
      if (kind().x_is_f8 && next_type == OperandType::kInt8) continue;
      const int rows = rows_or(next_type == OperandType::kInt8 ? 2 : 1);
      const auto x = make_x(random_, kind().x(), rows, i, true);
      const size_t count = static_cast<size_t>(rows) * outputs;
      const DeviceArray<float> y(count);
      const TestOperand next(next_type, count, false);
      StreamMatmul args = product(*x, rows);
      args.num_products = 2;
      args.w[0] = gate.view;
      args.w[1] = up.view;
      args.eps = 1e-6f;
      args.finish = finish;
      args.y[0] = y.data();
      args.y_stride = static_cast<int64_t>(outputs);
      args.next = next.view;
      stream_matmul(nullptr, args);
      expect_success();
      const std::vector<float> result = y.get();
      expect_staged(next, result, {});
      for (int row = 0; row < rows; ++row) {
        const Expected g = expected(gate, *x, row, args.eps);
        Expected e = expected(up, *x, row, args.eps);
        for (size_t o = 0; o < outputs; ++o) {
          const double z = g.y[o];
          const double factor =
              finish == Finish::kSwiglu
                  ? z / (1 + std::exp(-z))
                  : 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
          // Both activations have slopes below 1.2.
          e.tolerance[o] = 1.2 * g.tolerance[o] * std::abs(e.y[o]) +
                           std::abs(factor) * e.tolerance[o] +
                           1e-6 * std::max(1.0, std::abs(z)) * std::abs(e.y[o]);
          e.y[o] *= factor;
        }
        expect_near(result, static_cast<size_t>(row) * outputs, e, kind().name);
      }
      // Without y, and stored plainly without what comes next.
      const TestOperand alone(next_type, count, false);
      args.y[0] = nullptr;
      args.next = alone.view;
      stream_matmul(nullptr, args);
      expect_success();
      expect_staged(alone, result, {});
      const DeviceArray<float> plain(count);
      args.y[0] = plain.data();
      args.next = {};
      stream_matmul(nullptr, args);
      expect_success();
      // Which kernel takes many rows of bf16 depends on what comes next.
      if (kind().x_is_f8 || next_type == kind().x()) {
        ASSERT_EQ(plain.get(), result);
      }
    }
  }
}

// Two thirds of a matrix and the rest are as good as all of it, at any width.
TEST_P(StreamMatmulTest, TakesPartsThatLieSideBySide) {
  if (kind().layout != Layout::kBF16 && !kind().x_is_f8) return;
  const int64_t i = 1152;
  const TestMatrix w = matrix(6144, i);
  const int rows = rows_or(2);
  const auto x = make_x(random_, kind().x(), rows, i, true);
  const DeviceArray<float> y(static_cast<size_t>(rows) * 6144);
  StreamMatmul args = product(*x, rows);
  args.num_products = 2;
  args.eps = 1e-6f;
  args.y_stride = 6144;
  args.w[0] = args.w[1] = w.view;
  args.w[0].outputs = 4096;
  args.w[1].outputs = 2048;
  args.w[1].data = static_cast<const uint8_t*>(w.view.data) + 4096 * i * (kind().x_is_f8 ? 1 : 2);
  if (w.view.span == ScaleSpan::kRow) args.w[1].scales += 4096;
  args.y[0] = y.data();
  args.y[1] = y.data() + 4096;
  stream_matmul(nullptr, args);
  expect_success();
  const std::vector<float> result = y.get();
  for (int row = 0; row < rows; ++row) {
    expect_near(result, static_cast<size_t>(row) * 6144, expected(w, *x, row, args.eps),
                kind().name);
  }
}

INSTANTIATE_TEST_SUITE_P(, StreamMatmulTest, testing::ValuesIn(kKinds),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST(StreamMatmulRoomTest, SplitsRowsThatDoNotFitBesideTheRing) {
  if (!has_device()) GTEST_SKIP() << "no GPU";
  Random random(3);
  const int64_t i = 27648;
  const TestMatrix w = make_matrix(random, Layout::kBF16, ScaleSpan::kMatrix, 32, i);
  const auto x = make_x(random, OperandType::kBF16, 4, i, true);
  const DeviceArray<float> y(std::vector<float>(4 * 32, 1.0f));
  const TestOperand next(OperandType::kInt8, 4 * 32, true);
  StreamMatmul args;
  args.rows = 4;
  args.w[0] = w.view;
  args.x = x->view;
  args.eps = 1e-5f;
  args.finish = Finish::kAdd;
  args.y[0] = y.data();
  args.y_stride = 32;
  args.next = next.view;
  stream_matmul(nullptr, args);
  expect_success();
  const std::vector<float> result = y.get();
  for (int row = 0; row < 4; ++row) {
    Expected e = expected(w, *x, row, args.eps);
    for (double& v : e.y) v += 1;
    for (double& t : e.tolerance) t += 2e-7;
    expect_near(result, static_cast<size_t>(row) * 32, e, "27648 inputs");
  }
  expect_staged(next, result, {});
}

TEST(StreamMatmulStageTest, StagesRowsOfBF16WithAStride) {
  if (!has_device()) GTEST_SKIP() << "no GPU";
  Random random(4);
  const size_t inputs = 544;
  const size_t stride = 600;
  for (OperandType type : {OperandType::kBF16, OperandType::kInt8}) {
    std::vector<uint16_t> bits;
    for (float v : random_floats(random, 2 * stride, 5.0f)) bits.push_back(f32_to_bf16(v));
    for (size_t i = 64; i < 96; ++i) bits[i] = 0;  // a group of zeros
    std::vector<float> x;
    for (size_t row = 0; row < 2; ++row) {
      for (size_t i = 0; i < inputs; ++i) x.push_back(bf16_to_f32(bits[row * stride + i]));
    }
    const DeviceArray<uint16_t> device_x(bits);
    const TestOperand operand(type, 2 * inputs, true);
    stage(nullptr, operand.view, device_x.data(), DType::kBF16, static_cast<int64_t>(stride),
          nullptr, 2, static_cast<int64_t>(inputs));
    expect_success();
    expect_staged(operand, x, {});
  }
}

TEST(StreamMatmulShapeTest, TakesOnlyShapesThatTheLayoutHas) {
  Matrix w;
  w.outputs = 64;
  w.inputs = 96;
  EXPECT_TRUE(streams(w));
  w.inputs = 80;
  EXPECT_FALSE(streams(w));
  w.inputs = 96;
  w.layout = Layout::kInt4;
  EXPECT_FALSE(streams(w));
  w.inputs = 512;
  EXPECT_TRUE(streams(w));
  w.outputs = 48;
  EXPECT_FALSE(streams(w));
  w.outputs = 64;
  w.layout = Layout::kF32;
  EXPECT_FALSE(streams(w));
}

}  // namespace
}  // namespace hachi::ops::cuda
