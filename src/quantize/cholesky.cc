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

void update_rest(ops::Context& ctx, Tensor a, int64_t begin, int64_t end,
                 std::vector<float>& negated) {
  const int64_t width = end - begin;
  for (int64_t first = 0; first < begin; first += kStripe) {
    const int64_t rows = std::min(kStripe, begin - first);
    negated.resize(static_cast<size_t>(rows * width));
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = a.row<float>(first + r) + begin;
      std::transform(from, from + width, negated.begin() + r * width, std::negate<>());
    }
    const ConstTensor x(negated.data(), DType::kF32, {rows, width});
    const Tensor rest = a.rows(first, begin - first);
    ops::matmul_add(ctx, rest.rows(0, rows).columns(first, begin - first), x,
                    {.values = rest.columns(begin, width)});
  }
}

}  // namespace

bool factor_from_the_end(ops::Context& ctx, Tensor a) {
  CHECK_EQ(a.size(0), a.size(1));
  std::vector<float> negated;
  for (int64_t end = a.size(0); end > 0;) {
    const int64_t begin = std::max<int64_t>(0, end - kBlock);
    if (!factor_diagonal(a, begin, end)) return false;
    solve_panel(*ctx.pool, a, begin, end);
    update_rest(ctx, a, begin, end, negated);
    end = begin;
  }
  return true;
}

}  // namespace hachi::quantize
