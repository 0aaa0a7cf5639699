// What the processor can do, as far as the kernels ask.
#pragma once

namespace hachi::ops {

struct CpuFeatures {
  bool avx2 = false;  // AVX2, FMA and F16C, all three, and an operating system that keeps them
};

// Found out once for the process.
const CpuFeatures& cpu_features();

}  // namespace hachi::ops
