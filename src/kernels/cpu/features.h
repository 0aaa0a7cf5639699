// What the processor can do, as far as the kernels ask.
#pragma once

namespace hachi::ops {

// Each stands for an operating system that keeps the registers too; those of x86 include AVX2.
struct CpuFeatures {
  bool avx2 = false;      // AVX2, FMA and F16C, all three
  bool avx512 = false;    // AVX-512 F, BW, DQ, VL and VNNI, which come together since Ice Lake
  bool avx_vnni = false;  // AVX2 with the byte products of VNNI in 256 bits
  bool amx = false;       // tiles of int8 and bf16, which the system lets the process use
  bool neon_dot = false;  // of aarch64: NEON with dot products of bytes (Armv8.2 DotProd)
};

// Found out once for the process.
const CpuFeatures& cpu_features();

}  // namespace hachi::ops
