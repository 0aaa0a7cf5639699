// How kernels are launched: each may start before the one before it has ended (programmatic
// dependent launch), so each calls wait_for_earlier_kernels() of ptx.cuh before it reads or writes
// activations.
#pragma once

#include <array>
#include <cuda_runtime.h>
#include <mutex>

#include "core/check.h"
#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

// For calls that fail only if our own arguments are wrong or the GPU is lost.
inline void check_cuda(cudaError_t error, const char* file, int line) {
  if (error != cudaSuccess) check_failed(file, line, cudaGetErrorString(error));
}

#define CHECK_CUDA(call) ::hachi::ops::cuda::check_cuda((call), __FILE__, __LINE__)

// `cluster`: CTAs of one, along x; 0: the kernel knows no clusters.
template <class... Parameters, class... Arguments>
void launch_clusters(int cluster, Stream stream, void (*kernel)(Parameters...), dim3 grid,
                     dim3 block, size_t shared_bytes, const Arguments&... arguments) {
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = cluster > 0 ? 2 : 1;
  CHECK_CUDA(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

template <class... Parameters, class... Arguments>
void launch(Stream stream, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared_bytes, const Arguments&... arguments) {
  launch_clusters(0, stream, kernel, grid, block, shared_bytes, arguments...);
}

// Allows a kernel this much dynamic shared memory, on the device in use.
template <class... Parameters>
void allow_shared_bytes(void (*kernel)(Parameters...), int bytes) {
  CHECK_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  CHECK_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                  cudaSharedmemCarveoutMaxShared));
}

inline int device_in_use() {
  int device = 0;
  CHECK_CUDA(cudaGetDevice(&device));
  return device;
}

// What setup() says of the device in use, where it is called once. What it sets, such as the shared
// memory of a kernel, is a device's own.
template <class Setup>
auto once_a_device(const Setup& setup) {
  struct Said {
    std::once_flag once;
    decltype(setup()) value;
  };
  static std::array<Said, kMaxGpus> all;
  const auto device = static_cast<size_t>(device_in_use());
  CHECK(device < all.size());
  Said& said = all[device];
  std::call_once(said.once, [&] { said.value = setup(); });
  return said.value;
}

// Of the device in use.
inline int num_multiprocessors() {
  return once_a_device([] {
    int value = 0;
    CHECK_CUDA(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device_in_use()));
    return value;
  });
}

}  // namespace hachi::ops::cuda
