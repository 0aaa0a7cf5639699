#include "kernels/testing.h"

namespace hachi::ops {
namespace {

// The f64 reference, and for each element the rounding that f32 sums may have: one lane adds
// inputs / 8 products, each rounded, then three levels join the lanes.
struct Expected {
  Matrix y;
  Matrix absolute;  // sum of |x| |w|
};

Expected expected(const Matrix& x, const Weight& w, const Matrix* added_to) {
  const int64_t outputs = w.values.size(0);
  Runner ref(Device::kRef, false, 1);
  Matrix y = added_to ? added_to->copy() : Matrix(x.rows(), outputs);
  if (added_to) {
    matmul_add(ref.ctx(), y.tensor(), x.tensor(), w);
  } else {
    matmul(ref.ctx(), y.tensor(), x.tensor(), w);
  }
  Matrix weights(outputs, x.columns());
  dequantize(ref.ctx(), weights.tensor(), w, 0);
  Matrix absolute(x.rows(), outputs);
  for (int64_t t = 0; t < x.rows(); ++t) {
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = added_to ? std::abs(added_to->at(t, o)) : 0.0;
      for (int64_t i = 0; i < x.columns(); ++i) sum += std::abs(x.at(t, i) * weights.at(o, i));
      absolute.at(t, o) = static_cast<float>(sum);
    }
  }
  return {std::move(y), std::move(absolute)};
}

void expect_matches(const Matrix& got, const Expected& want, int64_t inputs) {
  const double roundings = static_cast<double>(inputs) / 8 + 6;
  expect_close(got, want.y, [&](int64_t t, int64_t o) {
    return roundings * kEpsilon * want.absolute.at(t, o) + 1e-30;
  });
}

std::vector<int64_t> input_sizes(DType dtype) {
  switch (traits(dtype).block_size) {
    case 1:
      return {1, 7, 8, 9, 33, 576, 777};
    case 32:
      return {32, 96, 576, 1536};
    default:
      return {256, 1024};
  }
}

class MatmulTest : public testing::TestWithParam<DType> {};

TEST_P(MatmulTest, MatchesTheReference) {
  std::mt19937 random(11);
  for (const int64_t inputs : input_sizes(GetParam())) {
    for (const int64_t outputs : {1, 7, 8, 9, 33}) {
      RandomWeight weight(GetParam(), outputs, inputs, random);
      if (GetParam() == DType::kF8E4M3) weight.scale_blocks(8, 128, random);
      for (const int64_t tokens : {1, 2, 8, 53}) {
        SCOPED_TRACE(fmt::format("T={} I={} O={}", tokens, inputs, outputs));
        const Matrix x(tokens, inputs, random);
        const Expected want = expected(x, weight.weight(), nullptr);
        for_each_set([&](Runner& runner) {
          Matrix got(tokens, outputs);
          matmul(runner.ctx(), got.tensor(), x.tensor(), weight.weight());
          expect_matches(got, want, inputs);
        });
      }
    }
  }
}

TEST_P(MatmulTest, AddsToWhatIsThere) {
  std::mt19937 random(12);
  const int64_t inputs = input_sizes(GetParam()).back();
  RandomWeight weight(GetParam(), 19, inputs, random);
  const Matrix x(5, inputs, random);
  const Matrix before(5, 19, random);
  const Expected want = expected(x, weight.weight(), &before);
  for_each_set([&](Runner& runner) {
    Matrix got = before.copy();
    matmul_add(runner.ctx(), got.tensor(), x.tensor(), weight.weight());
    expect_matches(got, want, inputs);
  });
}

// A token's result has the same bits alone and in any batch, on any number of threads.
TEST_P(MatmulTest, DoesNotDependOnBatchOrThreads) {
  std::mt19937 random(13);
  const int64_t inputs = traits(GetParam()).block_size == 1 ? 1537 : 1024;
  RandomWeight weight(GetParam(), 45, inputs, random);
  const Matrix x(53, inputs, random);
  for (const bool avx2 : instruction_sets()) {
    Runner one(Device::kCpu, avx2, 1);
    Matrix alone(53, 45);
    for (int64_t t = 0; t < 53; ++t) {
      matmul(one.ctx(), alone.tensor().rows(t, 1), x.tensor().rows(t, 1), weight.weight());
    }
    for (const int threads : {1, 2, 3, 5}) {
      Runner runner(Device::kCpu, avx2, threads);
      for (const int64_t tokens : {1, 2, 3, 7, 8, 33, 53}) {
        SCOPED_TRACE(fmt::format("{}, T={}", runner.name(), tokens));
        Matrix got(53, 45);
        for (int64_t t = 0; t < 53; t += tokens) {
          const int64_t count = std::min(tokens, 53 - t);
          matmul(runner.ctx(), got.tensor().rows(t, count), x.tensor().rows(t, count),
                 weight.weight());
        }
        EXPECT_TRUE(got.same_bytes(alone));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MatmulTest, testing::ValuesIn(weight_types()),
                         [](const auto& type) { return std::string(name(type.param)); });

TEST(Matmul, TakesNoTokens) {
  std::mt19937 random(14);
  RandomWeight weight(DType::kF32, 3, 4, random);
  for (const Device device : {Device::kRef, Device::kCpu}) {
    Runner runner(device, true, 2);
    matmul(runner.ctx(), Tensor(nullptr, DType::kF32, {0, 3}),
           ConstTensor(nullptr, DType::kF32, {0, 4}), weight.weight());
  }
}

TEST(MatmulDeathTest, ChecksShapes) {
  std::mt19937 random(15);
  RandomWeight weight(DType::kF32, 3, 4, random);
  Runner runner(Device::kCpu, false, 1);
  Matrix x(2, 5);
  Matrix y(2, 3);
  EXPECT_DEATH(matmul(runner.ctx(), y.tensor(), x.tensor(), weight.weight()), "4 against 5");
}

}  // namespace
}  // namespace hachi::ops
