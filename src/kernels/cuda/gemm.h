// Products of many rows, by cuBLASLt, which is loaded when the first of them runs.
#pragma once

#include <memory>

#include "core/result.h"
#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

// y = x W^T, or y += x W^T
struct Gemm {
  int64_t rows = 0;  // T
  Matrix w;          // kBF16, or kF8 with one scale, or kF32
  const void* x = nullptr;  // [T,I] dense: bf16; with kF8 weights e4m3; with kF32 weights f32
  const float* x_scale = nullptr;  // of e4m3: [1], or of each row with w.span kRow [T]; null: 1
  void* y = nullptr;
  DType y_type = DType::kBF16;  // kF32 or kBF16; adding takes kF32
  int64_t y_stride = 0;         // elements from row to row
  bool add = false;
};

class GemmLibrary {
 public:
  // Fails with kUnsupported, saying what was looked for, if cuBLASLt is not there.
  static Result<std::unique_ptr<GemmLibrary>> load();
  virtual ~GemmLibrary() = default;

  // Plans are kept by shape; the first call of one takes milliseconds.
  virtual void run(Stream stream, const Gemm& gemm) = 0;
};

}  // namespace hachi::ops::cuda
