#include "kernels/decode.h"
#include "kernels/int8_row.h"
#include "kernels/testing.h"
#include "kernels/unpack.h"

namespace hachi::ops {
namespace {

// The f64 reference, and for each element how many roundings f32 sums may have and the size of what
// is rounded.
struct Expected {
  Matrix y;
  Matrix absolute;   // the sum of the magnitudes of all that is added
  double roundings;  // of the longest chain of additions
};

// One row of x or w of a block type: as bytes, and what those stand for.
struct Row {
  Row(DType dtype, const float* x, int64_t n) : Row(n) {
    round_to_int8(dtype, x, n, {q.data(), scales.data(), shifts.data()});
    for (size_t i = 0; i < q.size(); ++i) values.push_back(scales[i / 32] * q[i]);
  }
  Row(DType dtype, const std::byte* w, int64_t n) : Row(n) {
    unpack(dtype, w, n, {q.data(), scales.data(), shifts.data()});
    for (size_t i = 0; i < q.size(); ++i) values.push_back(scales[i / 16] * q[i]);
  }
  explicit Row(int64_t n)
      : q(static_cast<size_t>(n)),
        scales(static_cast<size_t>(n / 16)),
        shifts(static_cast<size_t>(n / 16)) {}
  std::vector<int8_t> q;
  std::vector<float> scales, shifts;
  std::vector<float> values;
};

// sum of |x| |w|
float magnitude(const float* x, const Weight& w, int64_t row, int64_t n) {
  const DType dtype = w.values.dtype();
  double sum = 0;
  if (is_block_type(dtype)) {
    const Row a(dtype, x, n);
    const Row b(dtype, w.values.row(row), n);
    for (size_t i = 0; i < a.q.size(); ++i) sum += std::abs(a.values[i] * b.values[i]);
    for (size_t i = 0; i < b.shifts.size(); ++i) sum += std::abs(a.shifts[i] * b.shifts[i]);
    return static_cast<float>(sum);
  }
  Runner ref(Device::kRef, {}, 1);
  Matrix weights(1, n);
  dequantize(ref.ctx(), weights.tensor(), w, row);
  for (int64_t i = 0; i < n; ++i) sum += std::abs(x[i] * weights.at(0, i));
  return static_cast<float>(sum);
}

Expected expected(const Matrix& x, const Weight& w, const Matrix* added_to) {
  const int64_t outputs = w.values.size(0);
  const int64_t inputs = x.columns();
  Runner ref(Device::kRef, {}, 1);
  Matrix y = added_to ? added_to->copy() : Matrix(x.rows(), outputs);
  if (added_to) {
    matmul_add(ref.ctx(), y.tensor(), x.tensor(), w);
  } else {
    matmul(ref.ctx(), y.tensor(), x.tensor(), w);
  }
  Matrix absolute(x.rows(), outputs);
  for (int64_t t = 0; t < x.rows(); ++t) {
    for (int64_t o = 0; o < outputs; ++o) {
      absolute.at(t, o) = magnitude(&x.at(t, 0), w, o, inputs);
      if (added_to) absolute.at(t, o) += std::abs(added_to->at(t, o));
    }
  }
  // The longer of two ways. Rows: one lane adds inputs / 8 products; or, of a block type, an
  // integer sum from each 32 inputs and the products of an eighth of the mins; then three levels
  // join the lanes. Panels: runs of 256 products; or an integer sum and a min from each 32 inputs.
  const auto n = static_cast<double>(inputs);
  const double chain =
      is_block_type(w.values.dtype()) ? n / 16 : std::max(n / 8, std::min(n, 256.0) + n / 256);
  return {std::move(y), std::move(absolute), chain + 8};
}

void expect_matches(const Matrix& got, const Expected& want) {
  expect_close(got, want.y, [&](int64_t t, int64_t o) {
    return want.roundings * kEpsilon * want.absolute.at(t, o) + 1e-30;
  });
}

// Processors with tiles multiply panels of BF16 with x rounded to BF16.
bool rounds_to_bf16(const Runner& runner, DType dtype, int64_t inputs) {
  return runner.ctx().features.amx && dtype == DType::kBF16 && inputs % 32 == 0;
}

Matrix rounded_to_bf16(const Matrix& x) {
  Matrix rounded = x.copy();
  for (int64_t t = 0; t < x.rows(); ++t) {
    for (int64_t i = 0; i < x.columns(); ++i) {
      std::byte bf16[2];
      encode(DType::kBF16, &x.at(t, i), 1, bf16);
      decode(DType::kBF16, bf16, 1, &rounded.at(t, i));
    }
  }
  return rounded;
}

std::vector<int64_t> input_sizes(DType dtype) {
  switch (traits(dtype).block_size) {
    case 1:
      return {1, 7, 8, 9, 33, 576, 777};
    case 32:
      return {32, 96, 576, 1536};
    default:
      return {256, 1280};
  }
}

class MatmulTest : public testing::TestWithParam<DType> {};
class BlockMatmulTest : public testing::TestWithParam<DType> {};

std::vector<DType> block_types() {
  std::vector<DType> types = weight_types();
  std::erase_if(types, [](DType type) { return !is_block_type(type); });
  return types;
}

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
          expect_matches(got, want);
          matmul(runner.ctx(), got.tensor(), x.tensor(), weight.panels());
          if (rounds_to_bf16(runner, GetParam(), inputs)) {
            expect_matches(got, expected(rounded_to_bf16(x), weight.weight(), nullptr));
          } else {
            expect_matches(got, want);
          }
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
    expect_matches(got, want);
    got = before.copy();
    matmul_add(runner.ctx(), got.tensor(), x.tensor(), weight.panels());
    expect_matches(got, want);
  });
}

// A token's result has the same bits alone and in any batch, on any number of threads.
void expect_independent(const Weight& weight, const Matrix& x) {
  for (const CpuFeatures& set : instruction_sets()) {
    Runner one(Device::kCpu, set, 1);
    Matrix alone(53, 45);
    for (int64_t t = 0; t < 53; ++t) {
      matmul(one.ctx(), alone.tensor().rows(t, 1), x.tensor().rows(t, 1), weight);
    }
    for (const int threads : {1, 2, 3, 5}) {
      Runner runner(Device::kCpu, set, threads);
      for (const int64_t tokens : {1, 2, 3, 7, 8, 33, 53}) {
        SCOPED_TRACE(fmt::format("{}, T={}", runner.name(), tokens));
        Matrix got(53, 45);
        for (int64_t t = 0; t < 53; t += tokens) {
          const int64_t count = std::min(tokens, 53 - t);
          matmul(runner.ctx(), got.tensor().rows(t, count), x.tensor().rows(t, count), weight);
        }
        EXPECT_TRUE(got.same_bytes(alone));
      }
    }
  }
}

TEST_P(MatmulTest, DoesNotDependOnBatchOrThreads) {
  std::mt19937 random(13);
  for (const int64_t inputs : {1280, 1537}) {
    if (inputs % traits(GetParam()).block_size != 0) continue;
    const RandomWeight weight(GetParam(), 45, inputs, random);
    const Matrix x(53, inputs, random);
    expect_independent(weight.weight(), x);
    expect_independent(weight.panels(), x);
  }
}

// A block's f16 scale, the first or, with mins, the second.
float block_scale(DType dtype, const std::byte* block, size_t which) {
  float scale = 0;
  decode(DType::kF16, block + scale_offsets(dtype)[which], 1, &scale);
  return scale;
}

// One result of panels, as panel_dot.h says that it is summed: each block's products as an integer,
// which enters the sum with one fused multiply-add, and so do its mins.
float sum_of_blocks(DType dtype, const float* x, const std::byte* w, int64_t n) {
  const Row a(dtype, x, n);
  const Row b(dtype, w, n);
  const auto block = static_cast<size_t>(traits(dtype).block_size);
  const bool mins = scale_offsets(dtype).size() > 1;
  float sum = 0;
  for (size_t k = 0; k < a.q.size(); k += block, w += traits(dtype).block_bytes) {
    const float scale = block_scale(dtype, w, 0);
    const float min_scale = mins ? block_scale(dtype, w, 1) : 1;
    int products = 0, of_mins = 0;
    for (size_t i = k; i < k + block; ++i) {
      // The integer scales of a block of 256, exactly; 1 for others.
      products += static_cast<int>(b.scales[i / 16] / scale) * a.q[i] * b.q[i];
      of_mins -= static_cast<int>(b.shifts[i / 16] / min_scale) * a.q[i];
    }
    const float x_scale = a.scales[k / 32];
    sum = std::fma(static_cast<float>(products), scale * x_scale, sum);
    if (mins && block == 32) sum = std::fma(min_scale, a.shifts[k / 16], sum);
    if (mins && block == 256) {
      sum = std::fma(-static_cast<float>(of_mins), min_scale * x_scale, sum);
    }
  }
  return sum;
}

// The same for plain types (panel_floats.h): runs of 256 products.
float sum_of_runs(DType dtype, const float* x, const std::byte* w, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  decode(dtype, w, n, values.data());
  float sum = 0;
  for (size_t k = 0; k < values.size(); k += 256) {
    float run = 0;
    for (size_t i = k; i < std::min(k + 256, values.size()); ++i) {
      run = std::fma(values[i], x[i], run);
    }
    sum += run;
  }
  return sum;
}

// Panels have the same bits with every instruction set and on every kind of processor, but for BF16
// in tiles.
TEST_P(MatmulTest, PanelsAreSummedInOneOrder) {
  constexpr int64_t kInputs = 1280, kOutputs = 45;
  std::mt19937 random(14);
  const RandomWeight weight(GetParam(), kOutputs, kInputs, random);
  if (weight.panels().panels == nullptr) return;
  const Matrix x(13, kInputs, random);
  Matrix want(13, kOutputs);
  for (int64_t t = 0; t < 13; ++t) {
    for (int64_t o = 0; o < kOutputs; ++o) {
      const auto sum = is_block_type(GetParam()) ? sum_of_blocks : sum_of_runs;
      want.at(t, o) = sum(GetParam(), &x.at(t, 0), weight.weight().values.row(o), kInputs);
    }
  }
  for_each_set([&](Runner& runner) {
    if (!prefers_panels(runner.ctx(), weight.panels())) return;
    if (rounds_to_bf16(runner, GetParam(), kInputs)) return;
    Matrix got(13, kOutputs);
    matmul(runner.ctx(), got.tensor(), x.tensor(), weight.panels());
    EXPECT_TRUE(got.same_bytes(want));
  });
}

// Matrices that share x, of several types at once.
TEST(Matmul, SeveralProductsEqualEachAlone) {
  std::mt19937 random(15);
  std::vector<std::unique_ptr<RandomWeight>> weights;
  for (const DType dtype : {DType::kQ4_K, DType::kQ6_K, DType::kQ4_0, DType::kF16, DType::kQ4_K}) {
    weights.push_back(std::make_unique<RandomWeight>(dtype, 37, 512, random));
  }
  const Matrix x(14, 512, random);
  for_each_set([&](Runner& runner) {
    for (const bool panels : {false, true}) {
      std::vector<Matrix> got, want;
      std::vector<Product> products;
      for (const auto& weight : weights) {
        const Weight& w = panels ? weight->panels() : weight->weight();
        matmul(runner.ctx(), want.emplace_back(14, 37).tensor(), x.tensor(), w);
        products.push_back({got.emplace_back(14, 37).tensor(), &w});
      }
      matmul(runner.ctx(), products, x.tensor());
      for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].same_bytes(want[i])) << i;
    }
  });
}

// Weights of a block type are multiplied with x rounded to 8 bits: within half a step of x for each
// weight, half a unit of f16 for each scale, and the same for the sums that mins take.
TEST_P(BlockMatmulTest, IsNearTheUnroundedProduct) {
  std::mt19937 random(16);
  constexpr int64_t kInputs = 768, kOutputs = 9;
  RandomWeight weight(GetParam(), kOutputs, kInputs, random);
  const Matrix x(3, kInputs, random);
  for_each_set([&](Runner& runner) {
    Matrix weights(kOutputs, kInputs);
    dequantize(runner.ctx(), weights.tensor(), weight.weight(), 0);
    Matrix got(3, kOutputs), want(3, kOutputs), allowed(3, kOutputs);
    matmul(runner.ctx(), got.tensor(), x.tensor(), weight.weight());
    for (int64_t t = 0; t < 3; ++t) {
      double max = 0;
      for (int64_t i = 0; i < kInputs; ++i) max = std::max<double>(max, std::abs(x.at(t, i)));
      const double step = max / 127 * 0.5 + max * 0x1p-11;
      for (int64_t o = 0; o < kOutputs; ++o) {
        const Row row(GetParam(), weight.weight().values.row(o), kInputs);
        double sum = 0, bound = 0;
        for (int64_t i = 0; i < kInputs; ++i) {
          const auto at = static_cast<size_t>(i);
          sum += static_cast<double>(x.at(t, i)) * weights.at(o, i);
          bound += step * (std::abs(row.values[at]) + std::abs(row.shifts[at / 16]));
        }
        want.at(t, o) = static_cast<float>(sum);
        allowed.at(t, o) = static_cast<float>(bound);
      }
    }
    expect_close(got, want, [&](int64_t t, int64_t o) { return allowed.at(t, o) * 1.001; });
  });
}

INSTANTIATE_TEST_SUITE_P(Types, BlockMatmulTest, testing::ValuesIn(block_types()),
                         [](const auto& type) { return std::string(name(type.param)); });
INSTANTIATE_TEST_SUITE_P(Types, MatmulTest, testing::ValuesIn(weight_types()),
                         [](const auto& type) { return std::string(name(type.param)); });

// The largest products of bytes: 127 * -128, next to each other.
TEST(Matmul, TakesTheLargestBytes) {
  constexpr int64_t kInputs = 64;
  Bytes bytes(row_bytes(DType::kQ8_0, kInputs), 1);
  const float scale = 1;
  for (int64_t block = 0; block < 2; ++block) {
    std::byte* at = bytes.data() + row_bytes(DType::kQ8_0, 32 * block);
    encode(DType::kF16, &scale, 1, at);
    std::fill(at + 2, at + 34, std::byte{0x80});
  }
  const Weight weight{ConstTensor(bytes.data(), DType::kQ8_0, {1, kInputs}), {}, 0, 0};
  Matrix x(2, kInputs);
  for (int64_t i = 0; i < kInputs; ++i) {
    x.at(0, i) = 127;
    x.at(1, i) = -127;
  }
  for_each_set([&](Runner& runner) {
    Matrix y(2, 1);
    matmul(runner.ctx(), y.tensor(), x.tensor(), weight);
    EXPECT_EQ(y.at(0, 0), -128.0f * 127 * kInputs);
    EXPECT_EQ(y.at(1, 0), 128.0f * 127 * kInputs);
  });
}

TEST(Matmul, TakesNoTokens) {
  std::mt19937 random(14);
  RandomWeight weight(DType::kF32, 3, 4, random);
  for (const Device device : {Device::kRef, Device::kCpu}) {
    Runner runner(device, cpu_features(), 2);
    matmul(runner.ctx(), Tensor(nullptr, DType::kF32, {0, 3}),
           ConstTensor(nullptr, DType::kF32, {0, 4}), weight.weight());
  }
}

TEST(MatmulDeathTest, ChecksShapes) {
  std::mt19937 random(15);
  RandomWeight weight(DType::kF32, 3, 4, random);
  Runner runner(Device::kCpu, {}, 1);
  Matrix x(2, 5);
  Matrix y(2, 3);
  EXPECT_DEATH(matmul(runner.ctx(), y.tensor(), x.tensor(), weight.weight()), "4 against 5");
}

}  // namespace
}  // namespace hachi::ops
