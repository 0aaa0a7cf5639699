// Products of many rows, by cuBLASLt, which is loaded when the first of them runs.
#pragma once

#include <memory>
#include <string>

#include "core/result.h"
#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

// With ScaleSpan::kBlock128 the rows are taken in multiples of this: x, its scales and y have room
// for so many, and what x holds in the rows added comes out in theirs.
inline constexpr int kGemmRows = 4;

// y = x W^T, or y += x W^T. Sums are f32. Which products there are, takes() says; on Hopper all of
// kBF16, kF8 and kF32 whose rows begin on 16 bytes.
struct Gemm {
  int64_t rows = 0;         // T
  Matrix w;                 // kBF16, kF8 or kF32
  const void* x = nullptr;  // [T,I] dense: bf16; with kF8 weights e4m3; with kF32 weights f32
  // Of e4m3, as w.span has it. kMatrix: [1], null: 1. kRow: [T]. kBlock128: [ceil(I/128), T'] with
  // T' = T rounded up to kGemmRows, each of 128 elements of a row. A matrix with one scale whose x
  // has one for each row is written as kRow, with its scale O times.
  const float* x_scale = nullptr;
  // e4m3: sums keep some 14 bits from one end to the other, as the matrix units have them, and are
  // not moved to f32 now and then.
  bool fast = false;
  void* y = nullptr;
  DType y_type = DType::kBF16;  // kF32 or kBF16; adding takes kF32
  int64_t y_stride = 0;         // elements from row to row
  bool add = false;
};

class GemmLibrary {
 public:
  // Fails with kUnsupported, saying what was looked for, if cuBLASLt is not there. It stays loaded
  // until the process ends. Products of one library run one after another, in one stream.
  //
  // `whole_sums`: a sum is not divided among blocks, where cuBLASLt has a kernel that does so. Then
  // a row's result does not depend on how many rows there are, nor on its place among them;
  // cuBLASLt does not promise that, but its kernels of Hopper keep to it, and a test looks. The
  // exception: kBlock128 with more than some thousands of inputs and fewer than 512 rows.
  static Result<std::unique_ptr<GemmLibrary>> load(bool whole_sums = true);
  virtual ~GemmLibrary() = default;

  // The library's version, as 13.1.0.
  virtual std::string version() const = 0;

  // False if cuBLASLt has no kernel for the product.
  virtual bool takes(const Gemm& gemm) = 0;

  // The product is one that takes() takes. Plans are kept by shape; the first call of one takes
  // milliseconds. A stream may be captured. The first product of many rows with a matrix's shape,
  // outside of a capture, is prepared.
  virtual void run(Stream stream, const Gemm& gemm) = 0;

  // Times the library's candidates for this product, and keeps the fastest of those whose result
  // has the first one's bits: for this number of rows, or if they are many for all such. Writes
  // nothing that the product names, takes as much memory as y has, waits for the stream, and cannot
  // be captured.
  virtual void prepare(Stream stream, const Gemm& gemm) = 0;
};

}  // namespace hachi::ops::cuda
