// Maps of matrices for the copy engine, made on the host.
#pragma once

#include <cuda.h>

#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda {

// cuTensorMapEncodeTiled of the driver, with which programs need not be linked.
inline auto tensor_map_encoder() {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    CHECK_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                cudaEnableDefault, &found));
    CHECK(found == cudaDriverEntryPointSuccess);
    return reinterpret_cast<Encode>(function);
  }();
  return encode;
}

}  // namespace hachi::ops::cuda
