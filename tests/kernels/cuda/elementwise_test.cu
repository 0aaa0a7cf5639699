#include "kernels/cuda/small_testing.cuh"

namespace hachi::ops::cuda {
namespace {

using testing::activated;
using testing::DeviceArray;
using testing::expect_rows;
using testing::kShapes;
using testing::Matrix2;
using testing::random_floats;
using testing::rounded;
using testing::rows_of;
using testing::Shape;
using Bf16 = __nv_bfloat16;

template <class Y, class X>
void check_simple_ops(const Shape& shape) {
  SCOPED_TRACE(fmt::format("{} x {} + {}", shape.rows, shape.width, shape.pad));
  Matrix2<X> x(shape.rows, shape.width, shape.pad, 7);
  Matrix2<Y> y(shape.rows, shape.width, shape.pad, 8);
  const DeviceArray<X> dx(x.host);
  const DeviceArray<Y> sum(y.host);
  add(nullptr, rows_of(sum, y.stride), rows_of(dx, x.stride), shape.rows, shape.width);
  expect_rows(sum.read(), shape.rows, shape.width, y.stride, 1e-7,
              [&](int64_t r, int64_t c) { return y.value(r, c) + x.value(r, c); });
  const DeviceArray<Y> copy(y.host.size());
  convert(nullptr, rows_of(copy, y.stride), rows_of(dx, x.stride), shape.rows, shape.width);
  expect_rows(copy.read(), shape.rows, shape.width, y.stride, 0,
              [&](int64_t r, int64_t c) { return x.value(r, c); });
  std::vector<int64_t> picked;
  for (int64_t i = 0; i < 2 * shape.rows && i < 64; ++i) {
    picked.push_back(i * 7 % shape.rows);
  }
  const auto count = static_cast<int64_t>(picked.size());
  const DeviceArray<int64_t> device_picked(picked);
  for (const int64_t* from : {static_cast<const int64_t*>(picked.data()),
                              static_cast<const int64_t*>(device_picked.data())}) {
    const DeviceArray<Y> some(static_cast<size_t>(count * y.stride));
    gather(nullptr, rows_of(some, y.stride), rows_of(dx, x.stride), from, count, shape.width);
    expect_rows(some.read(), count, shape.width, y.stride, 0,
                [&](int64_t r, int64_t c) { return x.value(picked[static_cast<size_t>(r)], c); });
  }
}

TEST(CudaElementwise, AddsConvertsAndGathers) {
  for (const Shape& shape : kShapes) {
    check_simple_ops<float, float>(shape);
    check_simple_ops<Bf16, float>(shape);
    check_simple_ops<float, Bf16>(shape);
    check_simple_ops<Bf16, Bf16>(shape);
  }
}

template <class Y, class X>
void check_gated(const Shape& shape, bool gelu) {
  SCOPED_TRACE(fmt::format("{} x {} + {}, {}", shape.rows, shape.width, shape.pad, gelu));
  Matrix2<X> x(shape.rows, 2 * shape.width, shape.pad, 9);
  x.at(0, 0) = X(-100);
  x.at(shape.rows - 1, shape.width - 1) = X(60);
  const DeviceArray<X> dx(x.host);
  const int64_t stride = shape.width + shape.pad;
  const DeviceArray<Y> dy(static_cast<size_t>(shape.rows * stride));
  gated(nullptr, rows_of(dy, stride), rows_of(dx, x.stride), gelu, shape.rows, shape.width);
  expect_rows(dy.read(), shape.rows, shape.width, stride, 3e-6, [&](int64_t r, int64_t c) {
    return activated(x.value(r, c), gelu) * x.value(r, shape.width + c);
  });
}

TEST(CudaElementwise, Gates) {
  for (const Shape& shape : kShapes) {
    for (const bool gelu : {false, true}) {
      check_gated<float, float>(shape, gelu);
      check_gated<Bf16, float>(shape, gelu);
      check_gated<Bf16, Bf16>(shape, gelu);
    }
  }
}

template <class T>
void check_embed(DType type, int64_t width, size_t offset) {
  SCOPED_TRACE(fmt::format("{} of {}, {} off", name(type), width, offset));
  constexpr int64_t kVocabulary = 11;
  const std::vector<int32_t> ids = {10, 0, 3, 3, 7};
  const std::vector<T> table =
      rounded<T>(random_floats(static_cast<size_t>(kVocabulary * width), 10));
  const DeviceArray<T> dt(table, offset);
  const DeviceArray<int32_t> di(ids);
  const auto rows = static_cast<int64_t>(ids.size());
  const DeviceArray<float> dy(static_cast<size_t>(rows * width));
  embed(nullptr, rows_of(dy, width), di.data(), dt.data(), type, 1.7f, rows, width);
  expect_rows(dy.read(), rows, width, width, 0, [&](int64_t r, int64_t c) {
    const auto at = static_cast<size_t>(ids[static_cast<size_t>(r)] * width + c);
    return 1.7f * static_cast<double>(static_cast<float>(table[at]));
  });
}

TEST(CudaElementwise, EmbedsFromEachType) {
  for (const int64_t width : {1, 9, 64, 4096}) {
    for (const size_t offset : {size_t{0}, size_t{1}}) {
      check_embed<float>(DType::kF32, width, offset);
      check_embed<__half>(DType::kF16, width, offset);
      check_embed<Bf16>(DType::kBF16, width, offset);
      check_embed<__nv_fp8_e4m3>(DType::kF8E4M3, width, offset);
    }
  }
}

TEST(CudaElementwise, FindsTheAnglesOfPositions) {
  const std::vector<int32_t> positions = {0, 1, 17, 4095, 65536, 131071};
  for (const int64_t head_dim : {2, 128, 1024}) {
    std::vector<float> inv_freq;
    for (int64_t i = 0; i < head_dim / 2; ++i) {
      inv_freq.push_back(
          static_cast<float>(std::pow(1e6, -2.0 * i / static_cast<double>(head_dim))));
    }
    const DeviceArray<int32_t> dp(positions);
    const DeviceArray<float> df(inv_freq);
    const auto rows = static_cast<int64_t>(positions.size());
    const DeviceArray<float> dy(static_cast<size_t>(rows * head_dim));
    rope_angles(nullptr, dy.data(), dp.data(), df.data(), 1.25f, rows, head_dim);
    const std::vector<float> got = dy.read();
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < head_dim / 2; ++i) {
        const float angle = static_cast<float>(positions[static_cast<size_t>(r)]) *
                            inv_freq[static_cast<size_t>(i)];
        const auto at = static_cast<size_t>(r * head_dim + i);
        EXPECT_NEAR(got[at], 1.25 * std::cos(static_cast<double>(angle)), 4e-7);
        EXPECT_NEAR(got[at + static_cast<size_t>(head_dim / 2)],
                    1.25 * std::sin(static_cast<double>(angle)), 4e-7);
      }
    }
  }
}

void check_plain_matmul(int64_t rows, int64_t outputs, int64_t inputs, int64_t pad, bool adding) {
  SCOPED_TRACE(fmt::format("{} x {} x {} + {}", rows, outputs, inputs, pad));
  Matrix2<float> x(rows, inputs, pad, 14);
  Matrix2<float> y(rows, outputs, pad, 15);
  const std::vector<float> w = random_floats(static_cast<size_t>(outputs * inputs), 16);
  const DeviceArray<float> dx(x.host);
  const DeviceArray<float> dw(w);
  const DeviceArray<float> dy(y.host);
  plain_matmul(nullptr, rows_of(dy, y.stride), rows_of(dx, x.stride), dw.data(), adding, rows,
               outputs, inputs);
  const std::vector<float> got = dy.read();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < y.stride; ++o) {
      const double value = got[static_cast<size_t>(r * y.stride + o)];
      if (o >= outputs) {
        ASSERT_TRUE(std::isnan(value));
        continue;
      }
      double sum = adding ? y.value(r, o) : 0;
      double magnitude = std::abs(sum);
      for (int64_t i = 0; i < inputs; ++i) {
        const double term = x.value(r, i) * w[static_cast<size_t>(o * inputs + i)];
        sum += term;
        magnitude += std::abs(term);
      }
      ASSERT_NEAR(value, sum, magnitude * 1e-6) << r << ", " << o;
    }
  }
}

TEST(CudaPlainMatmul, MatchesSumsInDouble) {
  for (const int64_t rows : {1, 2, 3, 8, 21}) {
    for (const bool adding : {false, true}) {
      check_plain_matmul(rows, 1, 1, 0, adding);
      check_plain_matmul(rows, 33, 130, 0, adding);
      check_plain_matmul(rows, 66, 131, 1, adding);
      check_plain_matmul(rows, 37, 576, 4, adding);
    }
  }
}

TEST(CudaPlainMatmul, DependsOnTheRowAlone) {
  constexpr int64_t kInputs = 577;
  constexpr int64_t kOutputs = 35;
  const std::vector<float> x = random_floats(9 * kInputs, 17);
  const DeviceArray<float> dx(x);
  const DeviceArray<float> dw(random_floats(kOutputs * kInputs, 18));
  const DeviceArray<float> all(9 * kOutputs);
  const DeviceArray<float> one(kOutputs);
  plain_matmul(nullptr, rows_of(all, kOutputs), rows_of(dx, kInputs), dw.data(), false, 9, kOutputs,
               kInputs);
  Rows last = rows_of(dx, kInputs);
  last.data = dx.data() + 8 * kInputs;
  plain_matmul(nullptr, rows_of(one, kOutputs), last, dw.data(), false, 1, kOutputs, kInputs);
  const std::vector<float> from_all = all.read();
  EXPECT_EQ(std::vector<float>(from_all.end() - kOutputs, from_all.end()), one.read());
}

// A captured chain of ops, each launched beside the one before, is a chain still.
TEST(CudaElementwise, RunsInACapturedGraph) {
  constexpr int64_t kRows = 33;
  constexpr int64_t kWidth = 4096;
  const std::vector<float> x = random_floats(kRows * kWidth, 19);
  const DeviceArray<float> dx(x);
  const DeviceArray<float> sum(std::vector<float>(x.size(), 0.0f));
  const DeviceArray<float> copy(x.size());
  const std::vector<int64_t> picked = {32, 0};
  const DeviceArray<float> some(2 * kWidth);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  for (int i = 0; i < 20; ++i) {
    convert(stream, rows_of(copy, kWidth), rows_of(i == 0 ? dx : sum, kWidth), kRows, kWidth);
    add(stream, rows_of(sum, kWidth), rows_of(copy, kWidth), kRows, kWidth);
  }
  gather(stream, rows_of(some, kWidth), rows_of(sum, kWidth), picked.data(), 2, kWidth);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  const std::vector<float> got = some.read();
  for (int64_t r = 0; r < 2; ++r) {
    for (int64_t c = 0; c < kWidth; ++c) {
      const float from = x[static_cast<size_t>(picked[static_cast<size_t>(r)] * kWidth + c)];
      ASSERT_EQ(got[static_cast<size_t>(r * kWidth + c)], std::ldexp(from, 19));
    }
  }
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

}  // namespace
}  // namespace hachi::ops::cuda
