#include "quantize/compensate.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"
#include "quantize/blocks.h"
#include "quantize/grid.h"

namespace hachi::quantize {
namespace {

constexpr int64_t kSlab = 512;  // rows at once: what bounds the memory

class Compensator {
 public:
  Compensator(const SourceTensor& tensor, DType type, const Hessian& hessian, ThreadPool& pool,
              std::byte* out)
      : tensor_(tensor),
        type_(type),
        hessian_(hessian),
        pool_(pool),
        out_(out),
        block_(traits(type).block_size),
        columns_(tensor.columns()) {
    ctx_.pool = &pool;
  }

  Result<void> run();

 private:
  Result<void> read_slab(int64_t first, int64_t rows);
  void quantize_block(int64_t first_row, int64_t rows, int64_t first_column);
  void quantize_row_block(int64_t row, int64_t first_column, float* wanted, std::byte* block);

  const SourceTensor& tensor_;
  DType type_;
  const Hessian& hessian_;
  ThreadPool& pool_;
  std::byte* out_;
  int64_t block_;
  int64_t columns_;
  ops::Context ctx_;
  std::vector<float> weights_;  // [slab, columns]
  std::vector<float> errors_;   // [slab, columns]: of the columns that are done
  std::vector<float> wanted_;   // [slab, block]: corrected for the errors of the blocks before
  std::vector<float> within_;   // [block, block]: at [j,i] what column j's error does to column i
};

Result<void> Compensator::read_slab(int64_t first, int64_t rows) {
  pool_.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    read_rows(tensor_, first + begin, end - begin, weights_.data() + begin * columns_);
  });
  const auto used = weights_.begin() + rows * columns_;
  const auto wrong =
      std::find_if(weights_.begin(), used, [](float x) { return !std::isfinite(x); });
  if (wrong == used) return {};
  return fail(Code::kCorrupt, "{}: a weight in rows {} to {} is {}; the source is damaged",
              tensor_.name, first, first + rows - 1, *wrong);
}

void Compensator::quantize_row_block(int64_t row, int64_t first_column, float* wanted,
                                     std::byte* block) {
  quantize_row(type_, wanted, block_, hessian_.mean_squares().data() + first_column, block);
  BlockGrid grid(type_, block);
  const float* weights = weights_.data() + row * columns_ + first_column;
  float* errors = errors_.data() + row * columns_ + first_column;
  for (int64_t j = 0; j < block_; ++j) {
    const float error = weights[j] - grid.choose(j, wanted[j]);
    errors[j] = error;
    const float* spread = within_.data() + j * block_;
    for (int64_t i = j + 1; i < block_; ++i) wanted[i] += error * spread[i];
  }
  grid.store(block);
}

void Compensator::quantize_block(int64_t first_row, int64_t rows, int64_t first_column) {
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(weights_.data() + r * columns_ + first_column, block_, wanted_.data() + r * block_);
  }
  const ConstTensor feedback = hessian_.feedback();
  if (first_column > 0) {
    const Tensor errors(errors_.data(), DType::kF32, {kSlab, columns_});
    ops::matmul_add(ctx_, Tensor(wanted_.data(), DType::kF32, {rows, block_}),
                    errors.rows(0, rows).columns(0, first_column),
                    {.values = feedback.rows(first_column, block_).columns(0, first_column)});
  }
  for (int64_t i = 0; i < block_; ++i) {
    const float* row = feedback.row<float>(first_column + i) + first_column;
    for (int64_t j = 0; j < i; ++j) within_[static_cast<size_t>(j * block_ + i)] = row[j];
  }
  const int64_t bytes = row_bytes(type_, columns_);
  const int64_t offset = row_bytes(type_, first_column);
  pool_.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      quantize_row_block(r, first_column, wanted_.data() + r * block_,
                         out_ + (first_row + r) * bytes + offset);
    }
  });
}

Result<void> Compensator::run() {
  weights_.resize(static_cast<size_t>(kSlab * columns_));
  errors_.resize(static_cast<size_t>(kSlab * columns_));
  wanted_.resize(static_cast<size_t>(kSlab * block_));
  within_.resize(static_cast<size_t>(block_ * block_));
  for (int64_t first = 0; first < tensor_.rows(); first += kSlab) {
    const int64_t rows = std::min(kSlab, tensor_.rows() - first);
    TRY(read_slab(first, rows));
    for (int64_t column = 0; column < columns_; column += block_) {
      quantize_block(first, rows, column);
    }
  }
  return {};
}

}  // namespace

Result<void> quantize_compensated(const SourceTensor& tensor, DType type, const Hessian& hessian,
                                  ThreadPool& pool, std::vector<std::byte>& out) {
  CHECK_EQ(hessian.inputs(), tensor.columns());
  out.resize(static_cast<size_t>(tensor.rows() * row_bytes(type, tensor.columns())));
  return Compensator(tensor, type, hessian, pool, out.data()).run();
}

}  // namespace hachi::quantize
