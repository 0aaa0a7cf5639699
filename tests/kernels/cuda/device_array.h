// Memory of the GPU for tests: filled with all-one bits (NaN in every float type) before use, and
// guarded on both sides.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <vector>

#include <gtest/gtest.h>

namespace hachi::ops::cuda {

inline bool has_device() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

// Waits for all that was launched; fails the test if it went wrong.
inline void expect_success() {
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  const cudaError_t error = cudaDeviceSynchronize();
  ASSERT_EQ(error, cudaSuccess) << cudaGetErrorString(error);
}

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    EXPECT_EQ(cudaMalloc(&memory_, bytes() + 2 * kGuard), cudaSuccess);
    cudaMemset(memory_, kGuardByte, bytes() + 2 * kGuard);
    cudaMemset(data(), 0xff, bytes());
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { set(values); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() {
    EXPECT_TRUE(guards_hold());
    cudaFree(memory_);
  }

  T* data() const { return reinterpret_cast<T*>(static_cast<uint8_t*>(memory_) + kGuard); }
  void set(const std::vector<T>& values) {
    ASSERT_EQ(values.size(), count_);
    cudaMemcpy(data(), values.data(), bytes(), cudaMemcpyHostToDevice);
  }
  std::vector<T> get() const {
    std::vector<T> values(count_);
    cudaMemcpy(values.data(), data(), bytes(), cudaMemcpyDeviceToHost);
    return values;
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr int kGuardByte = 0xa5;

  size_t bytes() const { return count_ * sizeof(T); }
  bool guards_hold() const {
    std::vector<uint8_t> guards(2 * kGuard);
    const uint8_t* begin = static_cast<const uint8_t*>(memory_);
    cudaMemcpy(guards.data(), begin, kGuard, cudaMemcpyDeviceToHost);
    cudaMemcpy(guards.data() + kGuard, begin + kGuard + bytes(), kGuard, cudaMemcpyDeviceToHost);
    return std::all_of(guards.begin(), guards.end(), [](uint8_t b) { return b == kGuardByte; });
  }

  size_t count_;
  void* memory_ = nullptr;
};

}  // namespace hachi::ops::cuda
