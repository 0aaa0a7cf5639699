// How the kernels of attention are launched.
#pragma once

#include <cuda_runtime.h>
#include <string_view>

#include "kernels/cuda/types.h"

namespace hachi::inline core {
// Of core/check.h, whose formatting nvcc's front end does not take.
[[noreturn]] void check_failed(const char* file, int line, std::string_view what);
}  // namespace hachi::inline core

namespace hachi::ops::cuda::attend {

inline void check_cuda(cudaError_t error, const char* file, int line) {
  if (error != cudaSuccess) check_failed(file, line, cudaGetErrorString(error));
}
#define HACHI_ATTEND_CHECK(call) ::hachi::ops::cuda::attend::check_cuda(call, __FILE__, __LINE__)

// With programmatic dependent launch: the kernel may start before the one before it has ended, and
// waits itself.
template <class... Parameters, class... Values>
void launch(void (*kernel)(Parameters...), dim3 grid, int threads, int shared_bytes, Stream stream,
            Values... values) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  HACHI_ATTEND_CHECK(cudaLaunchKernelEx(&config, kernel, Parameters(values)...));
}

// Shared memory beyond 48 KB has to be asked for, once a kernel.
template <class Kernel>
void allow_shared(Kernel* kernel, int bytes) {
  HACHI_ATTEND_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

}  // namespace hachi::ops::cuda::attend
