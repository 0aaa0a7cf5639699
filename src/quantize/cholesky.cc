// By blocks of columns, from the last to the first: the block on the diagonal in double precision,
// the panel above it row by row, then what lies before it less the panel's product with itself,
// which is nearly all of the work and is left to matmul.
#include "quantize/cholesky.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/buffer.h"
#include "kernels/matmul.h"

namespace hachi::quantize {
namespace {

constexpr int64_t kBlock = 64;    // columns
constexpr int64_t kStripe = 256;  // rows of the trailing part at once: only half of it is needed

bool factor_diagonal(Tensor a, int64_t begin, int64_t end) {
  for (int64_t c = end; c-- > begin;) {
    for (int64_t j = c + 1; j-- > begin;) {
      double sum = static_cast<double>(a.row<float>(j)[c]);
      for (int64_t m = c + 1; m < end; ++m) {
        sum -= static_cast<double>(a.row<float>(j)[m]) * static_cast<double>(a.row<float>(c)[m]);
      }
      if (j == c) {
        if (!(sum > 0) || !std::isfinite(sum)) return false;
        a.row<float>(c)[c] = static_cast<float>(std::sqrt(sum));
      } else {
        a.row<float>(j)[c] = static_cast<float>(sum / static_cast<double>(a.row<float>(c)[c]));
      }
    }
  }
  return true;
}

// Rows [0, begin) of columns [begin, end).
void solve_panel(ThreadPool& pool, Tensor a, int64_t begin, int64_t end) {
  pool.parallel_for(begin, 8, [&](int64_t i, int64_t last) {
    for (; i < last; ++i) {
      float* row = a.row<float>(i);
      for (int64_t c = end; c-- > begin;) {
        const float* diagonal = a.row<float>(c);
        float sum = row[c];
        for (int64_t m = c + 1; m < end; ++m) sum -= row[m] * diagonal[m];
        row[c] = sum / diagonal[c];
      }
    }
  });
}

// rest -= panel panel^T, rest being rows and columns [0, begin) and panel columns [begin, end).
class RestUpdate {
 public:
  explicit RestUpdate(ops::Context& ctx) : ctx_(ctx) {}

  void run(Tensor a, int64_t begin, int64_t end) {
    for (int64_t first = 0; first < begin; first += kStripe) {
      const int64_t rows = std::min(kStripe, begin - first);
      const ConstTensor x = negated(a, first, rows, begin, end);
      const ConstTensor panel = a.rows(first, begin - first).columns(begin, end - begin);
      update_square(a.rows(first, rows).columns(first, rows), x, panel.rows(0, rows));
      const int64_t next = first + rows;
      if (next == begin) break;
      ops::matmul_add(ctx_, a.rows(first, rows).columns(next, begin - next), x,
                      {.values = panel.rows(rows, begin - next)});
    }
  }

 private:
  ConstTensor negated(Tensor a, int64_t first, int64_t rows, int64_t begin, int64_t end) {
    const int64_t width = end - begin;
    negated_.resize(static_cast<size_t>(rows * width));
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = a.row<float>(first + r) + begin;
      std::transform(from, from + width, negated_.begin() + r * width, std::negate<>());
    }
    return {negated_.data(), DType::kF32, {rows, width}};
  }

  // The square on the diagonal, of which only the upper half may change.
  void update_square(Tensor square, ConstTensor x, ConstTensor panel) {
    const int64_t rows = square.size(0);
    products_.resize(static_cast<size_t>(rows * rows));
    const Tensor products(products_.data(), DType::kF32, {rows, rows});
    ops::matmul(ctx_, products, x, {.values = panel});
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = r; c < rows; ++c) square.row<float>(r)[c] += products.row<float>(r)[c];
    }
  }

  ops::Context& ctx_;
  std::vector<float> negated_;
  std::vector<float> products_;
};

}  // namespace

bool factor_from_the_end(ops::Context& ctx, Tensor a) {
  CHECK_EQ(a.size(0), a.size(1));
  RestUpdate update(ctx);
  for (int64_t end = a.size(0); end > 0;) {
    const int64_t begin = std::max<int64_t>(0, end - kBlock);
    if (!factor_diagonal(a, begin, end)) return false;
    solve_panel(*ctx.pool, a, begin, end);
    update.run(a, begin, end);
    end = begin;
  }
  return true;
}

}  // namespace hachi::quantize
