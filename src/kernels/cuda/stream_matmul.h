// Products with few rows: each weight is read once, at the speed of the memory.
#pragma once

#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

enum class Finish {
  kStore,   // y = x W^T
  kAdd,     // y += x W^T; y is f32
  kSwiglu,  // y = silu(x W0^T) * (x W1^T)
  kGeglu,   // y = gelu_tanh(x W0^T) * (x W1^T)
};

constexpr bool is_gated(Finish finish) {
  return finish == Finish::kSwiglu || finish == Finish::kGeglu;
}

struct StreamMatmul {
  static constexpr int kMaxProducts = 3;

  int rows = 1;  // T, at most kMaxStreamRows
  // Several products have the same x, layout and inputs; with kSwiglu and kGeglu they are the gate
  // and up, of equal shape. inputs and outputs are multiples of 32.
  int num_products = 1;
  Matrix w[kMaxProducts];
  Operand x;      // of the type that the layout takes; of kF8 without blocks kE4M3 too
  float eps = 0;  // with x.squares: the result is divided by sqrt(mean of squares + eps)

  Finish finish = Finish::kStore;
  DType y_type = DType::kF32;  // or kBF16
  void* y[kMaxProducts] = {};  // [T,O]; gated: y[0] alone, which may be null if `next` is there
  int64_t y_stride = 0;        // elements from row to row, the same for all

  // With one y [T,O], what reads it next, if its rows are not null: y, times next_norm [O] if that
  // is not null, in the operand's type; and the squares of y before that, if `squares` is there.
  Operand next;
  const float* next_norm = nullptr;
};

// True if the shapes and the layout are ones that it takes: outputs a multiple of 32, inputs of 32,
// in tiles of 256, and at most 65536. Matrices and operands lie at multiples of 16 bytes.
bool streams(const Matrix& w);

// The result of a row depends on no other row, and on T only in that kBF16 has another kernel for
// more than 4 rows. With kF8, |x| is below 2^27, and the NaN of e4m3 counts as 480. kE4M3 takes
// inputs in multiples of 128, and its sums keep some 14 bits (gemm.h).
void stream_matmul(Stream stream, const StreamMatmul& args);

// Operands from activations: rows [T,I] of f32 or bf16, `stride` elements apart, times norm [I] if
// that is not null. With x.squares the sums of squares before that.
void stage(Stream stream, Operand to, const void* x, DType x_type, int64_t stride,
           const float* norm, int rows, int64_t inputs);

}  // namespace hachi::ops::cuda
