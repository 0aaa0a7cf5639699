// Error compensation: the factors, the levels of blocks, and that the errors of products fall.
#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "kernels/decode.h"
#include "quantize/blocks.h"
#include "quantize/cholesky.h"
#include "quantize/compensate.h"
#include "quantize/encode_rows.h"
#include "quantize/grid.h"
#include "quantize/hessian.h"

namespace hachi::quantize {
namespace {

constexpr DType kGridTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,   DType::kQ5_1,
                                DType::kQ8_0, DType::kQ2_K, DType::kQ3_K,   DType::kQ4_K,
                                DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS};

std::vector<float> random_floats(size_t count, uint32_t seed) {
  std::mt19937 draw(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(draw);
  return values;
}

// [tokens, inputs], neighbours alike and some inputs far larger: what activations are like.
std::vector<float> correlated_inputs(int64_t tokens, int64_t inputs, uint32_t seed) {
  std::vector<float> x = random_floats(static_cast<size_t>(tokens * inputs), seed);
  for (int64_t t = 0; t < tokens; ++t) {
    float* row = x.data() + t * inputs;
    for (int64_t i = 1; i < inputs; ++i) row[i] = 0.8f * row[i - 1] + 0.6f * row[i];
    for (int64_t i = 0; i < inputs; i += 37) row[i] *= 5;
  }
  return x;
}

Hessian hessian_of(const std::vector<float>& x, int64_t inputs, ThreadPool& pool) {
  auto hessian = Hessian::create(inputs, pool);
  EXPECT_TRUE(hessian);
  const auto tokens = static_cast<int64_t>(x.size()) / inputs;
  const ConstTensor all(x.data(), DType::kF32, {tokens, inputs});
  EXPECT_TRUE(hessian->add(all.rows(0, tokens / 3)));
  EXPECT_TRUE(hessian->add(all.rows(tokens / 3, tokens - tokens / 3)));
  return *std::move(hessian);
}

TEST(Cholesky, FactorsFromTheEnd) {
  for (const int64_t n : {1, 7, 64, 65, 200, 300}) {
    const auto b = random_floats(static_cast<size_t>(n * n), 5);
    std::vector<float> a(static_cast<size_t>(n * n));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = i == j ? 0.1 * static_cast<double>(n) : 0;
        for (int64_t k = 0; k < n; ++k) {
          sum += static_cast<double>(b[static_cast<size_t>(i * n + k)]) *
                 static_cast<double>(b[static_cast<size_t>(j * n + k)]);
        }
        a[static_cast<size_t>(i * n + j)] = static_cast<float>(sum);
      }
    }
    std::vector<float> r = a;
    ThreadPool pool(3);
    ops::Context ctx;
    ctx.pool = &pool;
    ASSERT_TRUE(factor_from_the_end(ctx, Tensor(r.data(), DType::kF32, {n, n})));
    double worst = 0;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = i; j < n; ++j) {
        double sum = 0;
        for (int64_t k = j; k < n; ++k) {
          sum += static_cast<double>(r[static_cast<size_t>(i * n + k)]) *
                 static_cast<double>(r[static_cast<size_t>(j * n + k)]);
        }
        worst =
            std::max(worst, std::abs(sum - static_cast<double>(a[static_cast<size_t>(i * n + j)])));
        if (i != j) {  // below the diagonal nothing has changed
          EXPECT_EQ(r[static_cast<size_t>(j * n + i)], a[static_cast<size_t>(j * n + i)]);
        }
      }
    }
    EXPECT_LT(worst, 1e-4 * static_cast<double>(n)) << n;
  }
}

TEST(Cholesky, KnowsWhatHasNoFactors) {
  std::vector<float> a = {1, 2, 2, 1};
  ThreadPool pool(1);
  ops::Context ctx;
  ctx.pool = &pool;
  EXPECT_FALSE(factor_from_the_end(ctx, Tensor(a.data(), DType::kF32, {2, 2})));
}

// cost(w, v) = sum of R_ii^2 (t_i - v_i)^2 must be e H e^T, whatever v is.
TEST(Hessian, ItsFactorsSayWhatErrorsCost) {
  constexpr int64_t kInputs = 96;
  ThreadPool pool(2);
  const auto x = correlated_inputs(400, kInputs, 3);
  Hessian hessian = hessian_of(x, kInputs, pool);
  ASSERT_TRUE(hessian.factor(1e-5));
  const auto e = random_floats(kInputs, 9);
  double expected = 0;
  for (size_t t = 0; t < 400; ++t) {
    double product = 0;
    for (size_t i = 0; i < kInputs; ++i) {
      product += static_cast<double>(x[t * kInputs + i]) * static_cast<double>(e[i]);
    }
    expected += product * product;
  }
  double cost = 0;
  for (int64_t i = 0; i < kInputs; ++i) {
    auto off = static_cast<double>(e[static_cast<size_t>(i)]);
    for (int64_t j = 0; j < i; ++j) {
      off += static_cast<double>(e[static_cast<size_t>(j)]) *
             static_cast<double>(hessian.feedback().row<float>(i)[j]);
    }
    cost += std::pow(off * static_cast<double>(hessian.feedback().row<float>(i)[i]), 2);
  }
  EXPECT_NEAR(cost / expected, 1, 1e-3);
  double squares = 0;
  for (size_t t = 0; t < 400; ++t) squares += std::pow(static_cast<double>(x[t * kInputs + 5]), 2);
  EXPECT_NEAR(hessian.mean_squares()[5], squares / 400, 1e-3);
}

TEST(Hessian, InputsThatAreNeverThereDoNotMatter) {
  ThreadPool pool(1);
  const std::vector<float> x(64 * 32, 0.0f);
  Hessian zeros = hessian_of(x, 32, pool);
  EXPECT_TRUE(zeros.factor(0.01));
  std::vector<float> broken = x;
  broken[40] = std::numeric_limits<float>::infinity();
  Hessian infinite = hessian_of(broken, 32, pool);
  const auto factored = infinite.factor(0.01);
  ASSERT_FALSE(factored);
  EXPECT_EQ(factored.error().code, Code::kCorrupt);
}

// Blocks that are read and stored unchanged stay as they are, and each choice is the nearest level.
TEST(Grid, StoresWhatItReads) {
  for (const DType type : kGridTypes) {
    ASSERT_TRUE(has_grid(type));
    const int64_t n = traits(type).block_size;
    const auto x = random_floats(static_cast<size_t>(n), 21);
    std::vector<std::byte> block(static_cast<size_t>(traits(type).block_bytes));
    quantize_row(type, x.data(), n, nullptr, block.data());
    std::vector<std::byte> again = block;
    BlockGrid(type, block.data()).store(again.data());
    EXPECT_EQ(again, block) << name(type);

    std::vector<float> decoded(static_cast<size_t>(n));
    ops::decode(type, block.data(), n, decoded.data());
    BlockGrid grid(type, block.data());
    std::vector<float> chosen(static_cast<size_t>(n));
    double before = 0;
    double after = 0;
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      chosen[i] = grid.choose(static_cast<int64_t>(i), x[i]);
      before += std::pow(static_cast<double>(decoded[i] - x[i]), 2);
      after += std::pow(static_cast<double>(chosen[i] - x[i]), 2);
    }
    EXPECT_LE(after, before * (1 + 1e-6)) << name(type);
    grid.store(again.data());
    ops::decode(type, again.data(), n, decoded.data());
    EXPECT_EQ(decoded, chosen) << name(type);
  }
  EXPECT_FALSE(has_grid(DType::kIQ2_XS));
  EXPECT_FALSE(has_grid(DType::kIQ3_S));
  EXPECT_FALSE(has_grid(DType::kF16));
}

SourceTensor tensor_over(const std::vector<float>& weights, int64_t rows, int64_t columns) {
  SourceTensor tensor;
  tensor.name = "test.weight";
  tensor.sizes = {rows, columns};
  tensor.weight.values = ConstTensor(weights.data(), DType::kF32, {rows, columns});
  return tensor;
}

// Sum of squares of the errors of the products with x.
double product_error(DType type, const std::vector<std::byte>& bytes,
                     const std::vector<float>& weights, const std::vector<float>& x, int64_t rows,
                     int64_t columns) {
  std::vector<float> decoded(weights.size());
  ops::decode(type, bytes.data(), rows * columns, decoded.data());
  double error = 0;
  const auto inputs = static_cast<size_t>(columns);
  for (size_t t = 0; t < x.size() / inputs; ++t) {
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
      double off = 0;
      for (size_t i = 0; i < inputs; ++i) {
        off += static_cast<double>(x[t * inputs + i]) *
               static_cast<double>(decoded[r * inputs + i] - weights[r * inputs + i]);
      }
      error += off * off;
    }
  }
  return error;
}

TEST(Compensate, ProductsComeOutBetterThanRoundedAlone) {
  constexpr int64_t kRows = 24;
  constexpr int64_t kColumns = 512;
  const auto weights = random_floats(kRows * kColumns, 1);
  const auto x = correlated_inputs(1500, kColumns, 2);
  const auto unseen = correlated_inputs(200, kColumns, 4);
  const SourceTensor tensor = tensor_over(weights, kRows, kColumns);
  ThreadPool pool(2);
  Hessian hessian = hessian_of(x, kColumns, pool);
  ASSERT_TRUE(hessian.factor(0.01));
  for (const DType type : kGridTypes) {
    const auto bytes = static_cast<size_t>(kRows * row_bytes(type, kColumns));
    std::vector<std::byte> plain(bytes);
    ASSERT_TRUE(encode_rows(tensor, type, nullptr, 0, kRows, pool, plain.data()));
    std::vector<std::byte> better;
    ASSERT_TRUE(quantize_compensated(tensor, type, hessian, pool, better));
    ASSERT_EQ(better.size(), bytes);
    const double before = product_error(type, plain, weights, unseen, kRows, kColumns);
    const double after = product_error(type, better, weights, unseen, kRows, kColumns);
    EXPECT_LT(after, 0.5 * before) << name(type);
  }
}

TEST(Compensate, TheNumberOfThreadsChangesNothing) {
  const auto weights = random_floats(600 * 256, 1);
  const SourceTensor tensor = tensor_over(weights, 600, 256);
  const auto x = correlated_inputs(300, 256, 2);
  std::vector<std::vector<std::byte>> results;
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    Hessian hessian = hessian_of(x, 256, pool);
    ASSERT_TRUE(hessian.factor(0.01));
    ASSERT_TRUE(quantize_compensated(tensor, DType::kQ4_K, hessian, pool, results.emplace_back()));
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(Compensate, WeightsThatAreNoNumbersAreRefused) {
  auto weights = random_floats(4 * 64, 1);
  weights[70] = std::numeric_limits<float>::quiet_NaN();
  const SourceTensor tensor = tensor_over(weights, 4, 64);
  ThreadPool pool(1);
  Hessian hessian = hessian_of(correlated_inputs(100, 64, 2), 64, pool);
  ASSERT_TRUE(hessian.factor(0.01));
  std::vector<std::byte> out;
  const auto done = quantize_compensated(tensor, DType::kQ4_0, hessian, pool, out);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("test.weight"), std::string::npos);
}

}  // namespace
}  // namespace hachi::quantize
