// Products of some tens to hundreds of rows with weights in tiles: they are read once for all rows,
// made bf16 on the way to the matrix unit, and multiplied there with x in bf16.
#pragma once

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

// Rows that one reading of the weights serves; more of them read the weights again.
inline constexpr int kBatchRows = 192;

struct BatchMatmul {
  static constexpr int kMaxProducts = 3;

  int64_t rows = 0;  // T
  // Several products have the same x, layout and inputs.
  int num_products = 1;
  Matrix w[kMaxProducts];
  const void* x = nullptr;     // [T,I] bf16 as order_rows() leaves them for w's layout
  bool add = false;            // y += x W^T; y is f32
  DType y_type = DType::kF32;  // or kBF16
  void* y[kMaxProducts] = {};  // [T,O]
  int64_t y_stride = 0;        // elements from row to row, the same for all
};

// True if the layout and the shape are ones that it takes.
bool batches(const Matrix& w);

// The result of a row depends on no other row and not on T. Weights are rounded to bf16.
void batch_matmul(Stream stream, const BatchMatmul& args);

// What order_rows() takes its rows from: x [T,I], times norm / RMS(x) if that is not null; or with
// `gated` act(gate) * up of x [T,2I]; gelu: the tanh form, else silu.
struct RowSource {
  Rows x;
  const float* norm = nullptr;
  float eps = 0;
  bool gated = false;
  bool gelu = false;
};

// Rows [T,I] of bf16, dense, with the columns of each 32 in the order in which the matrix unit
// meets weights of this layout.
void order_rows(Stream stream, void* to, const RowSource& from, Layout layout, int64_t rows,
                int64_t inputs);

}  // namespace hachi::ops::cuda
