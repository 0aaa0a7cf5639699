#include "quantize/hessian.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"
#include "quantize/cholesky.h"

namespace hachi::quantize {
namespace {

constexpr int64_t kStripe = 256;  // rows at once: only the upper triangle is needed
constexpr int64_t kTile = 32;     // sides of the squares that transposing walks in

// out[i,t] = x[t,i]
void transpose(ThreadPool& pool, ConstTensor x, Tensor out) {
  pool.parallel_for(x.size(1), kTile, [&](int64_t begin, int64_t end) {
    for (int64_t first = 0; first < x.size(0); first += kTile) {
      const int64_t last = std::min(first + kTile, x.size(0));
      for (int64_t i = begin; i < end; ++i) {
        float* row = out.row<float>(i);
        for (int64_t t = first; t < last; ++t) row[t] = x.row<float>(t)[i];
      }
    }
  });
}

}  // namespace

Result<Hessian> Hessian::create(int64_t inputs, ThreadPool& pool) {
  Hessian hessian(inputs, pool);
  const auto bytes = static_cast<uint64_t>(inputs) * static_cast<uint64_t>(inputs) * sizeof(float);
  TRY(hessian.memory_, Buffer::allocate(bytes));
  hessian.matrix_ = Tensor(hessian.memory_.data(), DType::kF32, {inputs, inputs});
  return hessian;
}

Result<void> Hessian::add(ConstTensor x) {
  CHECK_EQ(x.size(1), inputs_);
  const int64_t tokens = x.size(0);
  const auto bytes = static_cast<uint64_t>(inputs_ * tokens) * sizeof(float);
  if (transposed_.bytes() < bytes) {
    TRY(transposed_, Buffer::allocate(bytes));
  }
  const Tensor columns(transposed_.data(), DType::kF32, {inputs_, tokens});
  transpose(*ctx_.pool, x, columns);
  for (int64_t first = 0; first < inputs_; first += kStripe) {
    const int64_t rows = std::min(kStripe, inputs_ - first);
    ops::matmul_add(ctx_, matrix_.rows(first, rows).columns(first, inputs_ - first),
                    columns.rows(first, rows), {.values = columns.rows(first, inputs_ - first)});
  }
  tokens_ += tokens;
  return {};
}

// Keeps H below the diagonal while R takes its place above.
void Hessian::fill_lower() {
  ctx_.pool->parallel_for(inputs_, kTile, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < i; ++j) row(i)[j] = row(j)[i];
    }
  });
}

bool Hessian::try_factor(const std::vector<float>& diagonal) {
  ctx_.pool->parallel_for(inputs_, kTile, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      row(i)[i] = diagonal[static_cast<size_t>(i)];
      for (int64_t j = i + 1; j < inputs_; ++j) row(i)[j] = row(j)[i];
    }
  });
  return factor_from_the_end(ctx_, matrix_);
}

void Hessian::write_feedback() {
  ctx_.pool->parallel_for(inputs_, kTile, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float own = row(i)[i];
      for (int64_t j = 0; j < i; ++j) row(i)[j] = row(j)[i] / own;
    }
  });
}

Result<void> Hessian::factor(double damping) {
  constexpr double kMostDamping = 1e4;  // nothing is left of H but its diagonal by then
  constexpr double kLeast = 1e-4;       // of the mean: for inputs that are hardly ever there
  std::vector<float> diagonal(static_cast<size_t>(inputs_));
  double sum = 0;
  for (int64_t i = 0; i < inputs_; ++i) sum += static_cast<double>(row(i)[i]);
  if (!std::isfinite(sum)) {
    return fail(Code::kCorrupt,
                "an activation is infinite or no number: the model or the text is damaged");
  }
  mean_squares_.resize(diagonal.size());
  for (int64_t i = 0; i < inputs_; ++i) {
    diagonal[static_cast<size_t>(i)] = row(i)[i];
    mean_squares_[static_cast<size_t>(i)] =
        row(i)[i] / static_cast<float>(std::max<int64_t>(1, tokens_));
  }
  // Inputs that are always 0 leave the columns' rounding free; 1 keeps the factors finite.
  const double mean = sum > 0 ? sum / static_cast<double>(inputs_) : 1;
  fill_lower();
  for (; damping <= kMostDamping; damping *= 10) {
    std::vector<float> damped = diagonal;
    for (float& value : damped) {
      value += static_cast<float>(damping * (static_cast<double>(value) + kLeast * mean));
    }
    if (!try_factor(damped)) continue;
    write_feedback();
    return {};
  }
  return fail(Code::kCorrupt,
              "the inputs of a matrix are too large for floats: the model is damaged");
}

}  // namespace hachi::quantize
