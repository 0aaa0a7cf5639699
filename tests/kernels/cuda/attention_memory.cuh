// Numbers of every type, and memory of the GPU with guards around it.
#pragma once

#include <cuda_runtime.h>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <gtest/gtest.h>

#include "core/dtype.h"

namespace hachi::ops::cuda {

inline constexpr int kPage = 32;

inline int bytes_of(DType type) { return type == DType::kF32 ? 4 : type == DType::kF8E4M3 ? 1 : 2; }

inline void put(DType type, void* at, int64_t i, float x) {
  switch (type) {
    case DType::kF32:
      static_cast<float*>(at)[i] = x;
      return;
    case DType::kF16:
      static_cast<__half*>(at)[i] = __float2half(x);
      return;
    case DType::kBF16:
      static_cast<__nv_bfloat16*>(at)[i] = __float2bfloat16(x);
      return;
    default:
      static_cast<__nv_fp8_e4m3*>(at)[i] = __nv_fp8_e4m3(x);
  }
}

inline float get(DType type, const void* at, int64_t i) {
  switch (type) {
    case DType::kF32:
      return static_cast<const float*>(at)[i];
    case DType::kF16:
      return __half2float(static_cast<const __half*>(at)[i]);
    case DType::kBF16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(at)[i]);
    default:
      return static_cast<float>(static_cast<const __nv_fp8_e4m3*>(at)[i]);
  }
}

inline float rounded(DType type, double x) {
  char bytes[4];
  put(type, bytes, 0, static_cast<float>(x));
  return get(type, bytes, 0);
}

// Memory of the GPU, between guards, that begins as it is on the host, or as no numbers at all.
class Buffer {
 public:
  static constexpr size_t kGuard = 256;
  explicit Buffer(size_t size) : size_(size) {
    EXPECT_EQ(cudaMalloc(&base_, size + 2 * kGuard), cudaSuccess);
    EXPECT_EQ(cudaMemset(base_, 0xff, size + 2 * kGuard), cudaSuccess);
  }
  template <class T>
  explicit Buffer(const std::vector<T>& host) : Buffer(host.size() * sizeof(T)) {
    EXPECT_EQ(cudaMemcpy(data(), host.data(), size_, cudaMemcpyHostToDevice), cudaSuccess);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    std::vector<unsigned char> all(size_ + 2 * kGuard);
    EXPECT_EQ(cudaMemcpy(all.data(), base_, all.size(), cudaMemcpyDeviceToHost), cudaSuccess);
    for (size_t i = 0; i < kGuard; ++i) {
      EXPECT_TRUE(all[i] == 0xff && all[all.size() - 1 - i] == 0xff) << "written beyond the end";
    }
    cudaFree(base_);
  }
  template <class T = void>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
  std::vector<unsigned char> bytes() const {
    std::vector<unsigned char> out(size_);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(out.data(), data(), size_, cudaMemcpyDeviceToHost), cudaSuccess);
    return out;
  }

 private:
  char* data() const { return base_ + kGuard; }
  char* base_ = nullptr;
  size_t size_;
};

}  // namespace hachi::ops::cuda
