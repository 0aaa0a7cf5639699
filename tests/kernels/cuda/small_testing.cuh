// Memory of the GPU with guards around it, and plain conversions, for tests of small ops and
// products.
#pragma once

#include <cmath>
#include <cstring>
#include <cuda_runtime.h>
#include <numbers>
#include <random>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/cuda/elementwise.h"

namespace hachi::ops::cuda::testing {

// n elements between guards of 0xff, which is NaN in all the types used here. New memory has 0xff
// inside too. `offset` elements move the beginning off its alignment.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t n, size_t offset = 0) : n_(n), offset_(offset) {
    EXPECT_EQ(cudaMalloc(&base_, bytes()), cudaSuccess);
    EXPECT_EQ(cudaMemset(base_, 0xff, bytes()), cudaSuccess);
  }
  explicit DeviceArray(const std::vector<T>& values, size_t offset = 0)
      : DeviceArray(values.size(), offset) {
    EXPECT_EQ(cudaMemcpy(data(), values.data(), n_ * sizeof(T), cudaMemcpyDefault), cudaSuccess);
  }
  ~DeviceArray() { EXPECT_EQ(cudaFree(base_), cudaSuccess); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return reinterpret_cast<T*>(base_) + kGuard / sizeof(T) + offset_; }

  // What lies there now; the guards must be as they were.
  std::vector<T> read() const {
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    std::vector<uint8_t> raw(bytes());
    EXPECT_EQ(cudaMemcpy(raw.data(), base_, bytes(), cudaMemcpyDefault), cudaSuccess);
    const size_t first = kGuard + offset_ * sizeof(T);
    for (size_t i = 0; i < raw.size(); ++i) {
      if (i >= first && i < first + n_ * sizeof(T)) continue;
      if (raw[i] != 0xff) {
        ADD_FAILURE() << "byte " << i << " of " << raw.size() << " outside the array was written";
        break;
      }
    }
    std::vector<T> values(n_);
    std::memcpy(values.data(), raw.data() + first, n_ * sizeof(T));
    return values;
  }

 private:
  static constexpr size_t kGuard = 1024;

  size_t bytes() const { return 2 * kGuard + (n_ + offset_) * sizeof(T); }

  size_t n_;
  size_t offset_;
  uint8_t* base_ = nullptr;
};

inline std::vector<float> random_floats(size_t n, uint32_t seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

template <class T>
std::vector<T> rounded(const std::vector<float>& values) {
  std::vector<T> out;
  out.reserve(values.size());
  for (const float value : values) out.push_back(T(value));
  return out;
}

template <class T>
std::vector<double> doubles(const std::vector<T>& values) {
  std::vector<double> out;
  out.reserve(values.size());
  for (const T& value : values) out.push_back(static_cast<double>(static_cast<float>(value)));
  return out;
}

// Half a step of a type's significand, relative.
template <class T>
constexpr double half_step() {
  return sizeof(T) == 2 ? 1.0 / 256 : 1.0 / (1 << 24);
}

// Widths that divide into vectors, ones that do not, one of a single element, and ones beyond what
// a block holds in registers. `pad` is what a row's stride has more; 3 forbids wide accesses.
struct Shape {
  int64_t rows;
  int64_t width;
  int64_t pad;
};
inline constexpr Shape kShapes[] = {{1, 1, 0},    {3, 7, 3},    {5, 128, 8},   {2, 256, 3},
                                    {2, 264, 16}, {3, 1000, 0}, {2, 4096, 3},  {2, 8192, 0},
                                    {2, 8200, 8}, {1, 9001, 1}, {2, 20480, 0}, {70, 576, 8}};

template <class T>
constexpr DType type_of() {
  return sizeof(T) == 2 ? DType::kBF16 : DType::kF32;
}

template <class T>
Rows rows_of(const DeviceArray<T>& array, int64_t stride) {
  return {array.data(), type_of<T>(), stride};
}

// Rows with a stride: the elements between them must stay NaN.
template <class T>
struct Matrix2 {
  Matrix2(int64_t num_rows, int64_t num_columns, int64_t pad, uint32_t seed)
      : rows(num_rows), width(num_columns), stride(num_columns + pad) {
    host = rounded<T>(random_floats(static_cast<size_t>(rows * stride), seed));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = width; c < stride; ++c) at(r, c) = T(NAN);
    }
  }
  T& at(int64_t r, int64_t c) { return host[static_cast<size_t>(r * stride + c)]; }
  double value(int64_t r, int64_t c) { return static_cast<float>(at(r, c)); }

  int64_t rows;
  int64_t width;
  int64_t stride;
  std::vector<T> host;
};

// got[r, c] against expected(r, c): within the rounding of T and `slack` beside it, relative.
template <class T, class Expected>
void expect_rows(const std::vector<T>& got, int64_t rows, int64_t width, int64_t stride,
                 double slack, Expected expected) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < stride; ++c) {
      const double value = static_cast<float>(got[static_cast<size_t>(r * stride + c)]);
      if (c >= width) {
        ASSERT_TRUE(std::isnan(value)) << "between rows, at " << r << ", " << c;
        continue;
      }
      const double right = expected(r, c);
      ASSERT_NEAR(value, right, std::abs(right) * (half_step<T>() * 1.01 + slack) + 1e-9)
          << "row " << r << ", column " << c;
    }
  }
}

inline double activated(double gate, bool gelu) {
  if (!gelu) return gate / (1 + std::exp(-gate));
  const double u = std::sqrt(2 / std::numbers::pi) * (gate + 0.044715 * gate * gate * gate);
  return gate / 2 * (1 + std::tanh(u));
}

}  // namespace hachi::ops::cuda::testing
