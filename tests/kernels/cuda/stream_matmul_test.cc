// The streamed products against plain loops in double over the same rounded numbers.
#include "kernels/cuda/stream_matmul.h"

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <tuple>

#include "device_array.h"
#include "kernels/cuda/tile_format.h"
#include "kernels/half.h"

namespace hachi::ops::cuda {
namespace {

using Random = std::mt19937;

std::vector<float> random_floats(Random& random, size_t count, float size) {
  std::uniform_real_distribution<float> distribution(-size, size);
  std::vector<float> values(count);
  for (float& v : values) v = distribution(random);
  return values;
}

// A matrix on the device, and its values.
struct TestMatrix {
  Matrix view;
  std::vector<double> values;  // [O,I]
  std::unique_ptr<DeviceArray<uint8_t>> data;
  std::unique_ptr<DeviceArray<float>> scales;
};

void fill_rows(TestMatrix& m, Random& random, std::vector<uint8_t>& bytes) {
  const size_t count = m.values.size();
  const bool f8 = m.view.layout == Layout::kF8;
  bytes.resize(count * (f8 ? 1 : 2));
  std::vector<float> scales;
  const auto inputs = static_cast<size_t>(m.view.inputs);
  const size_t blocks = (inputs + 127) / 128;
  if (f8) {
    const auto outputs = static_cast<size_t>(m.view.outputs);
    const size_t num_scales = m.view.span == ScaleSpan::kMatrix ? 1
                              : m.view.span == ScaleSpan::kRow  ? outputs
                                                               : (outputs + 127) / 128 * blocks;
    scales = random_floats(random, num_scales, 0.01f);
  }
  for (size_t i = 0; i < count; ++i) {
    if (!f8) {
      const uint16_t bits = f32_to_bf16(random_floats(random, 1, 0.05f)[0]);
      bytes[2 * i] = static_cast<uint8_t>(bits);
      bytes[2 * i + 1] = static_cast<uint8_t>(bits >> 8);
      m.values[i] = bf16_to_f32(bits);
      continue;
    }
    bytes[i] = static_cast<uint8_t>(random());
    if ((bytes[i] & 0x7f) == 0x7f) bytes[i] = 0;
    const size_t row = i / inputs;
    const size_t column = i % inputs;
    const size_t at = m.view.span == ScaleSpan::kMatrix ? 0
                      : m.view.span == ScaleSpan::kRow  ? row
                                                       : row / 128 * blocks + column / 128;
    m.values[i] = static_cast<double>(f8e4m3_to_f32(bytes[i])) * scales[at];
  }
  if (!f8) return;
  m.scales = std::make_unique<DeviceArray<float>>(scales);
  m.view.scales = m.scales->data();
}

void put_half(std::vector<uint8_t>& bytes, size_t at, uint16_t bits) {
  bytes[at] = static_cast<uint8_t>(bits);
  bytes[at + 1] = static_cast<uint8_t>(bits >> 8);
}

void fill_tiles(TestMatrix& m, Random& random, std::vector<uint8_t>& bytes) {
  const Layout layout = m.view.layout;
  const ChunkFormat format = chunk_format(layout);
  const int64_t inputs = m.view.inputs;
  const bool four = format.weight_bytes == 1024;
  const int span = kChunkColumns / format.scales_per_row;  // columns of a scale
  bytes.resize(static_cast<size_t>(m.view.outputs / 16 * (inputs / 128) * format.bytes()));
  for (int64_t row = 0; row < m.view.outputs; ++row) {
    float scale = 0;
    float min = 0;
    for (int64_t column = 0; column < inputs; ++column) {
      const int r = static_cast<int>(row % 16);
      const int c = static_cast<int>(column % 128);
      const auto chunk = static_cast<size_t>((row / 16 * (inputs / 128) + column / 128) *
                                             format.bytes());
      if (c % span == 0) {
        const uint16_t bits = f32_to_f16(random_floats(random, 1, 0.01f)[0]);
        put_half(bytes, chunk + static_cast<size_t>(scale_place(format, r, c / span)), bits);
        scale = f16_to_f32(bits);
        const uint16_t min_bits = f32_to_f16(random_floats(random, 1, 0.05f)[0]);
        if (format.has_mins) {
          put_half(bytes, chunk + static_cast<size_t>(min_place(format, r, c / span)), min_bits);
          min = f16_to_f32(min_bits);
        }
      }
      const WeightPlace place = weight_place(layout, r, c);
      const int q = four ? static_cast<int>(random() % 16) : static_cast<int>(random() % 255) - 127;
      uint8_t& byte = bytes[chunk + static_cast<size_t>(place.byte)];
      byte = static_cast<uint8_t>(four ? byte | q << place.shift : q);
      const int value = layout == Layout::kInt4 ? q - 8 : q;
      m.values[static_cast<size_t>(row * inputs + column)] =
          static_cast<double>(value) * scale + static_cast<double>(min);
    }
  }
}

TestMatrix make_matrix(Random& random, Layout layout, ScaleSpan span, int64_t outputs,
                       int64_t inputs) {
  TestMatrix m;
  m.view.layout = layout;
  m.view.span = span;
  m.view.outputs = outputs;
  m.view.inputs = inputs;
  m.values.resize(static_cast<size_t>(outputs * inputs));
  std::vector<uint8_t> bytes;
  if (chunk_format(layout).weight_bytes > 0) fill_tiles(m, random, bytes);
  else fill_rows(m, random, bytes);
  m.data = std::make_unique<DeviceArray<uint8_t>>(bytes);
  m.view.data = m.data->data();
  return m;
}

// An operand on the device and what it holds.
struct TestOperand {
  TestOperand(OperandType type, size_t count, bool squares)
      : rows(count * (type == OperandType::kBF16 ? 2 : 1)), groups(count / 32), sums(count / 32) {
    view.type = type;
    view.rows = rows.data();
    if (type == OperandType::kInt8) view.groups = groups.data();
    if (squares) view.squares = sums.data();
  }

  std::vector<double> values() const {
    const std::vector<uint8_t> bytes = rows.get();
    const std::vector<OperandGroup> all = groups.get();
    std::vector<double> result(all.size() * 32);
    for (size_t i = 0; i < result.size(); ++i) {
      if (view.type == OperandType::kInt8) {
        result[i] = static_cast<double>(static_cast<int8_t>(bytes[i])) * all[i / 32].scale;
      } else {
        result[i] = bf16_to_f32(static_cast<uint16_t>(bytes[2 * i] | bytes[2 * i + 1] << 8));
      }
    }
    return result;
  }

  DeviceArray<uint8_t> rows;
  DeviceArray<OperandGroup> groups;
  DeviceArray<float> sums;
  Operand view;
};

// What an operand must hold for rows `x` times `norm`, to the bit; squares within rounding.
void expect_staged(const TestOperand& operand, const std::vector<float>& x,
                   const std::vector<float>& norm) {
  const std::vector<uint8_t> bytes = operand.rows.get();
  const std::vector<OperandGroup> groups = operand.groups.get();
  const std::vector<float> sums = operand.sums.get();
  for (size_t g = 0; g < x.size() / 32; ++g) {
    float staged[32];
    double squares = 0;
    float largest = 0;
    for (size_t i = 0; i < 32; ++i) {
      const float value = x[g * 32 + i];
      squares += static_cast<double>(value) * value;
      staged[i] = norm.empty() ? value : value * norm[(g * 32 + i) % norm.size()];
      largest = std::max(largest, std::abs(staged[i]));
    }
    int sum = 0;
    for (size_t i = 0; i < 32; ++i) {
      const size_t at = g * 32 + i;
      if (operand.view.type == OperandType::kInt8) {
        const int q = largest > 0 ? static_cast<int>(std::nearbyint(staged[i] * (127.0f / largest)))
                                  : 0;
        ASSERT_EQ(static_cast<int8_t>(bytes[at]), q) << "element " << at;
        sum += q;
      } else {
        ASSERT_EQ(bytes[2 * at] | bytes[2 * at + 1] << 8, f32_to_bf16(staged[i])) << at;
      }
    }
    if (operand.view.type == OperandType::kInt8) {
      ASSERT_EQ(groups[g].sum, sum) << "group " << g;
      ASSERT_EQ(groups[g].scale, largest / 127.0f) << "group " << g;
    }
    if (operand.view.squares != nullptr) {
      ASSERT_NEAR(sums[g], squares, 1e-6 * squares) << g;
    }
  }
}

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
    for (size_t i = 0; i < inputs / 32; ++i) sum += sums[static_cast<size_t>(row) * inputs / 32 + i];
    factor = 1 / std::sqrt(sum / static_cast<double>(inputs) + eps);
  }
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
    // f32 sums of about 100 parts, each of which the matrix units cut off, not round
    result.tolerance.push_back(magnitude * factor * 2e-6 + 1e-30);
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
};
constexpr Kind kKinds[] = {
    {"BF16", Layout::kBF16},
    {"F8", Layout::kF8},
    {"F8Row", Layout::kF8, ScaleSpan::kRow},
    {"F8Block", Layout::kF8, ScaleSpan::kBlock128},
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
  TestMatrix matrix(int64_t outputs, int64_t inputs) {
    return make_matrix(random_, kind().layout, kind().span, outputs, inputs);
  }
  std::vector<int64_t> inputs() const {
    if (operand_of(kind().layout) == OperandType::kInt8) return {256, 768, 2560, 9728, 14336};
    return {32, 96, 544, 576, 1536, 2592, 9728, 14336};
  }

  Random random_{20};
};

TEST_P(StreamMatmulTest, StoresForAnyInputs) {
  for (int64_t i : inputs()) {
    const TestMatrix w = matrix(i > 2600 ? 32 : 160, i);
    const auto outputs = static_cast<size_t>(w.view.outputs);
    const auto x = make_x(random_, operand_of(kind().layout), 4, i, false);
    std::vector<float> of_all;
    for (int rows : {4, 1, 2, 3}) {
      const DeviceArray<float> y(outputs * 4);
      StreamMatmul args;
      args.rows = rows;
      args.w[0] = w.view;
      args.x = x->view;
      args.y[0] = y.data();
      args.y_stride = w.view.outputs;
      stream_matmul(nullptr, args);
      expect_success();
      const std::vector<float> result = y.get();
      if (rows == 4) {
        of_all = result;
        for (int row = 0; row < 4; ++row) {
          expect_near(result, static_cast<size_t>(row) * outputs, expected(w, *x, row, 0),
                      kind().name);
        }
      }
      // The same bits whatever the number of rows, and nothing behind them.
      for (size_t at = 0; at < result.size(); ++at) {
        if (at < static_cast<size_t>(rows) * outputs) {
          ASSERT_EQ(result[at], of_all[at]) << at;
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
  const auto x = make_x(random_, operand_of(kind().layout), 3, i, true);
  const size_t stride = 2304;
  const DeviceArray<uint16_t> y(3 * stride);
  StreamMatmul args;
  args.rows = 3;
  args.num_products = 3;
  args.x = x->view;
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
  for (size_t row = 0; row < 3; ++row) {
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
    for (bool squares : {false, true}) {
      const int rows = squares ? 4 : 1;
      const auto x = make_x(random_, operand_of(kind().layout), rows, i, false);
      const size_t count = static_cast<size_t>(rows) * outputs;
      const std::vector<float> old = random_floats(random_, count, 2.0f);
      const std::vector<float> norm = random_floats(random_, outputs, 2.0f);
      const DeviceArray<float> y(old);
      const DeviceArray<float> device_norm(norm);
      const TestOperand next(next_type, count, squares);
      StreamMatmul args;
      args.rows = rows;
      args.w[0] = w.view;
      args.x = x->view;
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
      const int rows = next_type == OperandType::kInt8 ? 2 : 1;
      const auto x = make_x(random_, operand_of(kind().layout), rows, i, true);
      const size_t count = static_cast<size_t>(rows) * outputs;
      const DeviceArray<float> y(count);
      const TestOperand next(next_type, count, false);
      StreamMatmul args;
      args.rows = rows;
      args.num_products = 2;
      args.w[0] = gate.view;
      args.w[1] = up.view;
      args.x = x->view;
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
          const double factor = finish == Finish::kSwiglu
                                    ? z / (1 + std::exp(-z))
                                    : 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) *
                                                               (z + 0.044715 * z * z * z)));
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
      ASSERT_EQ(plain.get(), result);
    }
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
