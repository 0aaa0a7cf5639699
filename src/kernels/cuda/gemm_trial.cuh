// What comparing kernels of cuBLASLt by time and by bits needs.
#pragma once

#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda {

// A sum of scrambled words, which is the same in any order.
static __global__ void digest_kernel(const uint32_t* words, int64_t count,
                                     unsigned long long* digest) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  unsigned long long sum = 0;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += step) {
    unsigned long long bits = static_cast<unsigned long long>(i) << 32 | words[i];
    bits = (bits ^ bits >> 31) * 0x9e3779b97f4a7c15ull;
    sum += bits ^ bits >> 29;
  }
  atomicAdd(digest, sum);
}

// Room for a result that nobody reads, and for its digest behind it; released at its end. Null if
// the GPU has no room.
class Trial {
 public:
  explicit Trial(int64_t bytes) : words_((bytes + 7) / 8 * 2) {
    if (cudaMalloc(&memory_, static_cast<size_t>(words_) * 4 + 8) != cudaSuccess) {
      memory_ = nullptr;
      cudaGetLastError();
    }
    CHECK_CUDA(cudaEventCreate(&begin));
    CHECK_CUDA(cudaEventCreate(&end));
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;
  ~Trial() {
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    cudaFree(memory_);
  }

  void* y() const { return memory_; }
  void clear(Stream stream) const {
    CHECK_CUDA(cudaMemsetAsync(memory_, 0, static_cast<size_t>(words_) * 4 + 8, stream));
  }
  unsigned long long digest(Stream stream) const {
    auto* at = reinterpret_cast<unsigned long long*>(static_cast<uint32_t*>(memory_) + words_);
    digest_kernel<<<256, 256, 0, stream>>>(static_cast<const uint32_t*>(memory_), words_, at);
    CHECK_CUDA(cudaGetLastError());
    unsigned long long digest = 0;
    CHECK_CUDA(cudaMemcpyAsync(&digest, at, sizeof digest, cudaMemcpyDeviceToHost, stream));
    CHECK_CUDA(cudaStreamSynchronize(stream));
    return digest;
  }

  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;

 private:
  int64_t words_;
  void* memory_ = nullptr;
};

}  // namespace hachi::ops::cuda
