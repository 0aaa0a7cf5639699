#include "kernels/cuda/gemm.h"
#include "kernels/cuda/small_testing.cuh"

namespace hachi::ops::cuda {
namespace {

using testing::DeviceArray;
using testing::doubles;
using testing::half_step;
using testing::random_floats;
using testing::rounded;
using Bf16 = __nv_bfloat16;
using F8 = __nv_fp8_e4m3;

struct Case {
  int64_t rows;
  int64_t outputs;
  int64_t inputs;
  ScaleSpan span = ScaleSpan::kMatrix;
  bool add = false;
  bool fast = false;
  int64_t y_pad = 0;  // what a row of y has more than its outputs
};

std::string describe(const Case& c) {
  return fmt::format("{} x {} x {}, span {}, add {}, fast {}, pad {}", c.rows, c.outputs, c.inputs,
                     static_cast<int>(c.span), c.add, c.fast, c.y_pad);
}

GemmLibrary& library() {
  static const std::unique_ptr<GemmLibrary> loaded = [] {
    auto result = GemmLibrary::load();
    if (!result) {
      fmt::print("{}\n", result.error().message);
      std::abort();
    }
    fmt::print("cuBLASLt {}\n", (*result)->version());
    return *std::move(result);
  }();
  return *loaded;
}

// Scales between 1/2 and 2, all different.
std::vector<float> random_scales(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0.5f, 2.0f);
  std::vector<float> values(n);
  for (float& value : values) value = uniform(random);
  return values;
}

constexpr int64_t kGroup = 128;

// A product with its operands on the GPU and its result in double on the host.
template <class In, class Out>
class Product {
 public:
  explicit Product(const Case& c)
      : case_(c),
        padded_((c.rows + kGemmRows - 1) / kGemmRows * kGemmRows),
        stride_(c.outputs + c.y_pad),
        x_(rounded<In>(random_floats(static_cast<size_t>(padded_ * c.inputs), 21))),
        w_(rounded<In>(random_floats(static_cast<size_t>(c.outputs * c.inputs), 22))),
        y_(rounded<Out>(random_floats(static_cast<size_t>(padded_ * stride_), 23))),
        w_scales_(random_scales(w_count(), 24)),
        x_scales_(random_scales(x_count(), 25)),
        dx_(x_),
        dw_(w_),
        dy_(y_),
        dw_scales_(w_scales_),
        dx_scales_(x_scales_) {}

  Gemm gemm() const {
    Gemm g;
    g.rows = case_.rows;
    g.w.layout = sizeof(In) == 4 ? Layout::kF32 : sizeof(In) == 2 ? Layout::kBF16 : Layout::kF8;
    g.w.outputs = case_.outputs;
    g.w.inputs = case_.inputs;
    g.w.data = dw_.data();
    g.w.span = case_.span;
    g.x = dx_.data();
    if (sizeof(In) == 1) {
      g.w.scales = dw_scales_.data();
      g.x_scale = dx_scales_.data();
    }
    g.fast = case_.fast;
    g.y = dy_.data();
    g.y_type = sizeof(Out) == 4 ? DType::kF32 : DType::kBF16;
    g.y_stride = stride_;
    g.add = case_.add;
    return g;
  }

  std::vector<Out> y() const { return dy_.read(); }

  // `slack` is for each unit of sum |x w|.
  void expect(double slack) const {
    const std::vector<Out> got = dy_.read();
    const std::vector<double> x = doubles(x_);
    const std::vector<double> w = doubles(w_);
    for (int64_t t = 0; t < case_.rows; ++t) {
      for (int64_t o = 0; o < stride_; ++o) {
        const auto at = static_cast<size_t>(t * stride_ + o);
        const double before = static_cast<float>(y_[at]);
        const double value = static_cast<float>(got[at]);
        if (o >= case_.outputs) {
          ASSERT_EQ(value, before) << "between rows, at " << t << ", " << o;
          continue;
        }
        double sum = case_.add ? before : 0;
        double magnitude = std::abs(sum);
        for (int64_t i = 0; i < case_.inputs; ++i) {
          const double term = x[static_cast<size_t>(t * case_.inputs + i)] * x_scale(t, i) *
                              w[static_cast<size_t>(o * case_.inputs + i)] * w_scale(o, i);
          sum += term;
          magnitude += std::abs(term);
        }
        ASSERT_NEAR(value, sum, magnitude * slack + std::abs(sum) * half_step<Out>() * 1.01)
            << "row " << t << ", output " << o;
      }
    }
  }

 private:
  int64_t groups() const { return (case_.inputs + kGroup - 1) / kGroup; }
  size_t w_count() const {
    if (case_.span == ScaleSpan::kMatrix) return 1;
    if (case_.span == ScaleSpan::kRow) return static_cast<size_t>(case_.outputs);
    return static_cast<size_t>((case_.outputs + kGroup - 1) / kGroup * groups());
  }
  size_t x_count() const {
    if (case_.span == ScaleSpan::kMatrix) return 1;
    if (case_.span == ScaleSpan::kRow) return static_cast<size_t>(case_.rows);
    return static_cast<size_t>(groups() * padded_);
  }
  double w_scale(int64_t o, int64_t i) const {
    if (sizeof(In) != 1) return 1;
    if (case_.span == ScaleSpan::kMatrix) return w_scales_[0];
    if (case_.span == ScaleSpan::kRow) return w_scales_[static_cast<size_t>(o)];
    return w_scales_[static_cast<size_t>(o / kGroup * groups() + i / kGroup)];
  }
  double x_scale(int64_t t, int64_t i) const {
    if (sizeof(In) != 1) return 1;
    if (case_.span == ScaleSpan::kMatrix) return x_scales_[0];
    if (case_.span == ScaleSpan::kRow) return x_scales_[static_cast<size_t>(t)];
    return x_scales_[static_cast<size_t>(i / kGroup * padded_ + t)];
  }

  Case case_;
  int64_t padded_;  // rows
  int64_t stride_;
  std::vector<In> x_;
  std::vector<In> w_;
  std::vector<Out> y_;
  std::vector<float> w_scales_;
  std::vector<float> x_scales_;
  DeviceArray<In> dx_;
  DeviceArray<In> dw_;
  DeviceArray<Out> dy_;
  DeviceArray<float> dw_scales_;
  DeviceArray<float> dx_scales_;
};

template <class In, class Out>
void check(const Case& c, double slack) {
  SCOPED_TRACE(describe(c));
  const Product<In, Out> product(c);
  ASSERT_TRUE(library().takes(product.gemm()));
  library().run(nullptr, product.gemm());
  product.expect(slack);
}

constexpr double kF32Slack = 1e-6;
// e4m3 with sums of 14 bits that are moved to f32 every 128 inputs, and with ones that are not.
constexpr double kF8Slack = 1e-4;
constexpr double kFastSlack = 1e-3;

TEST(CudaGemm, MultipliesBf16) {
  for (const int64_t rows : {1, 5, 64, 129}) {
    check<Bf16, Bf16>({.rows = rows, .outputs = 264, .inputs = 584}, kF32Slack);
    check<Bf16, float>({.rows = rows, .outputs = 264, .inputs = 584}, kF32Slack);
    check<Bf16, float>({.rows = rows, .outputs = 128, .inputs = 1024, .add = true}, kF32Slack);
    check<Bf16, Bf16>({.rows = rows, .outputs = 72, .inputs = 40, .y_pad = 24}, kF32Slack);
    check<Bf16, float>({.rows = rows, .outputs = 72, .inputs = 40, .add = true, .y_pad = 8},
                       kF32Slack);
  }
}

TEST(CudaGemm, MultipliesF32InFull) {
  for (const int64_t rows : {3, 64, 130}) {
    check<float, float>({.rows = rows, .outputs = 200, .inputs = 576}, kF32Slack);
    check<float, float>({.rows = rows, .outputs = 96, .inputs = 100, .add = true, .y_pad = 4},
                        kF32Slack);
  }
}

TEST(CudaGemm, MultipliesF8WithOneScale) {
  for (const int64_t rows : {1, 5, 64, 129}) {
    check<F8, Bf16>({.rows = rows, .outputs = 272, .inputs = 592}, kF8Slack);
    check<F8, float>({.rows = rows, .outputs = 272, .inputs = 592, .fast = true}, kFastSlack);
    check<F8, float>({.rows = rows, .outputs = 144, .inputs = 1024, .add = true, .y_pad = 16},
                     kF8Slack);
  }
}

TEST(CudaGemm, MultipliesF8WithAScaleForEachRow) {
  for (const int64_t rows : {1, 5, 64, 129}) {
    for (const bool fast : {false, true}) {
      const double slack = fast ? kFastSlack : kF8Slack;
      const ScaleSpan span = ScaleSpan::kRow;
      check<F8, Bf16>({.rows = rows, .outputs = 272, .inputs = 592, .span = span, .fast = fast},
                      slack);
      check<F8, float>({.rows = rows, .outputs = 272, .inputs = 592, .span = span, .fast = fast},
                       slack);
      check<F8, float>(
          {.rows = rows, .outputs = 144, .inputs = 1024, .span = span, .add = true, .fast = fast},
          slack);
    }
  }
}

TEST(CudaGemm, MultipliesF8WithScalesOfBlocks) {
  for (const int64_t rows : {1, 5, 64, 129}) {
    const ScaleSpan span = ScaleSpan::kBlock128;
    check<F8, Bf16>({.rows = rows, .outputs = 384, .inputs = 512, .span = span}, kF8Slack);
    check<F8, float>({.rows = rows, .outputs = 384, .inputs = 512, .span = span}, kF8Slack);
    check<F8, float>({.rows = rows, .outputs = 256, .inputs = 1024, .span = span, .add = true},
                     kF8Slack);
    check<F8, Bf16>({.rows = rows, .outputs = 208, .inputs = 512, .span = span}, kF8Slack);
  }
}

// The bits of one row among 5 and among up to 1,500, at two places.
template <class In>
void check_row_alone(int64_t outputs, int64_t inputs, ScaleSpan span, bool fast = false) {
  SCOPED_TRACE(fmt::format("{} x {}, {} bytes, span {}", outputs, inputs, sizeof(In),
                           static_cast<int>(span)));
  constexpr int64_t kMost = 1500;
  const std::vector<In> row = rounded<In>(random_floats(static_cast<size_t>(inputs), 31));
  // Random numbers for all of it would take seconds; these come again and again.
  const std::vector<In> some = rounded<In>(random_floats(100003, 33));
  const auto many = [&](int64_t count) {
    std::vector<In> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i) values[i] = some[i % some.size()];
    return values;
  };
  std::vector<In> x = many(kMost * inputs);
  for (const int64_t place : {1, 443})
    std::copy(row.begin(), row.end(), x.begin() + place * inputs);
  const DeviceArray<In> dx(x);
  const DeviceArray<In> dw(many(outputs * inputs));
  const DeviceArray<float> scales(
      random_scales(static_cast<size_t>(std::max(outputs, inputs / kGroup * kMost)), 34));
  const DeviceArray<float> one(std::vector<float>(static_cast<size_t>(kMost * kGroup), 1.0f));
  const DeviceArray<float> dy(static_cast<size_t>(kMost * outputs));
  std::vector<float> first;
  for (const int64_t rows : {5, 16, 64, 100, 600, 1500}) {
    Gemm gemm;
    gemm.rows = rows;
    gemm.w = {sizeof(In) == 2 ? Layout::kBF16 : Layout::kF8,
              outputs,
              inputs,
              dw.data(),
              span,
              scales.data()};
    gemm.x = dx.data();
    gemm.x_scale = one.data();
    gemm.fast = fast;
    gemm.y = dy.data();
    gemm.y_type = DType::kF32;
    gemm.y_stride = outputs;
    library().run(nullptr, gemm);
    const std::vector<float> y = dy.read();
    for (const int64_t place : {1, 443}) {
      if (place >= rows) continue;
      const std::vector<float> here(y.begin() + place * outputs, y.begin() + (place + 1) * outputs);
      if (first.empty()) first = here;
      EXPECT_TRUE(here == first) << "row " << place << " of " << rows;
    }
  }
}

TEST(CudaGemm, ResultsOfARowDependOnTheRowAlone) {
  check_row_alone<Bf16>(1024, 2048, ScaleSpan::kMatrix);
  check_row_alone<F8>(1024, 2048, ScaleSpan::kMatrix);
  check_row_alone<F8>(1024, 2048, ScaleSpan::kRow);
  check_row_alone<F8>(1024, 2048, ScaleSpan::kRow, true);
  check_row_alone<F8>(1024, 2048, ScaleSpan::kBlock128);
  check_row_alone<Bf16>(4096, 12288, ScaleSpan::kMatrix);
  check_row_alone<F8>(4096, 12288, ScaleSpan::kMatrix);
  check_row_alone<F8>(4096, 12288, ScaleSpan::kRow);
  check_row_alone<F8>(4096, 12288, ScaleSpan::kRow, true);
}

// Preparing keeps the bits, and changes nothing that the product names.
TEST(CudaGemm, PreparesProductsOfManyRows) {
  const auto unprepared = GemmLibrary::load();
  ASSERT_TRUE(unprepared);
  for (const bool add : {false, true}) {
    const Case c{.rows = 1100, .outputs = 264, .inputs = 584, .add = add};
    const Product<Bf16, float> product(c);
    const std::vector<float> before = product.y();
    library().prepare(nullptr, product.gemm());
    EXPECT_TRUE(product.y() == before);
    library().run(nullptr, product.gemm());
    product.expect(kF32Slack);
    const Product<Bf16, float> same(c);
    Gemm fewer = same.gemm();
    fewer.rows = 1000;
    (*unprepared)->run(nullptr, fewer);
    const std::vector<float> y = product.y();
    const std::vector<float> other = same.y();
    EXPECT_TRUE(std::equal(y.begin(), y.begin() + 1000 * 264, other.begin()));
  }
}

// Many inputs and few rows, for which there may be divided sums alone.
TEST(CudaGemm, MultipliesManyInputsInBlocks) {
  for (const int64_t rows : {5, 100}) {
    check<F8, float>({.rows = rows, .outputs = 128, .inputs = 12288, .span = ScaleSpan::kBlock128},
                     kF8Slack);
  }
}

TEST(CudaGemm, SaysWhatItDoesNotTake) {
  const Product<F8, Bf16> blocks(
      {.rows = 8, .outputs = 128, .inputs = 640, .span = ScaleSpan::kBlock128});
  EXPECT_FALSE(library().takes(blocks.gemm()));
  const Product<Bf16, Bf16> plain({.rows = 8, .outputs = 128, .inputs = 128});
  Gemm gemm = plain.gemm();
  EXPECT_TRUE(library().takes(gemm));
  gemm.add = true;
  EXPECT_FALSE(library().takes(gemm));
  gemm = plain.gemm();
  gemm.w.layout = Layout::kInt4;
  EXPECT_FALSE(library().takes(gemm));
  const Product<Bf16, Bf16> odd({.rows = 8, .outputs = 65, .inputs = 63});
  fmt::print("bf16 with rows of 63: {}\n", library().takes(odd.gemm()) ? "taken" : "not taken");
  if (library().takes(odd.gemm())) {
    library().run(nullptr, odd.gemm());
    odd.expect(kF32Slack);
  }
}

TEST(CudaGemm, RunsInACapturedGraphAndAfterPrepare) {
  const Product<F8, float> product(
      {.rows = 70, .outputs = 512, .inputs = 512, .span = ScaleSpan::kBlock128, .y_pad = 16});
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  library().prepare(stream, product.gemm());
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  library().run(stream, product.gemm());
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_EQ(cudaMemset(product.gemm().y, 0, sizeof(float)), cudaSuccess);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  product.expect(kF8Slack);
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

}  // namespace
}  // namespace hachi::ops::cuda
