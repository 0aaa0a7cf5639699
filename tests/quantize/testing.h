// What the tests of the blocks share.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "core/dtype.h"
#include "kernels/decode.h"
#include "kernels/testing.h"
#include "kernels/unpack.h"
#include "quantize/blocks.h"

namespace hachi::quantize {

using Floats = std::vector<float>;

inline std::vector<DType> block_types() {
  std::vector<DType> types;
  for (int i = 0; i < kNumDTypes; ++i) {
    if (ops::is_block_type(static_cast<DType>(i))) types.push_back(static_cast<DType>(i));
  }
  return types;
}

// In a buffer of exactly the right size at an odd address, so that the address sanitizer sees every
// byte too many.
inline std::vector<std::byte> quantized(DType type, const Floats& x,
                                        const float* importance = nullptr) {
  const auto n = static_cast<int64_t>(x.size());
  const ops::Bytes bytes(row_bytes(type, n), 1);
  quantize_row(type, x.data(), n, importance, bytes.data());
  return {bytes.data(), bytes.data() + bytes.size()};
}

inline Floats decoded(DType type, const std::vector<std::byte>& bytes, size_t n) {
  Floats y(n);
  ops::decode(type, bytes.data(), static_cast<int64_t>(n), y.data());
  return y;
}

inline Floats there_and_back(DType type, const Floats& x, const float* importance = nullptr) {
  return decoded(type, quantized(type, x, importance), x.size());
}

inline Floats normal_values(size_t n, unsigned seed, float width = 0.02f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, width);
  Floats x(n);
  for (float& value : x) value = normal(random);
  return x;
}

// The formula of blocks.h.
inline double weighted_error(DType type, const Floats& x, const Floats& y,
                             const float* importance = nullptr) {
  const auto block = static_cast<size_t>(traits(type).block_size);
  double sum = 0;
  for (size_t first = 0; first < x.size(); first += block) {
    double mean = 0;
    for (size_t i = first; i < first + block; ++i) mean += double{x[i]} * x[i];
    mean /= static_cast<double>(block);
    for (size_t i = first; i < first + block; ++i) {
      const double weight = std::sqrt(mean + double{x[i]} * x[i]);
      const double error = double{x[i]} - y[i];
      sum += weight * (importance == nullptr ? 1.0 : importance[i]) * error * error;
    }
  }
  return sum;
}

// The root mean square of y - x as a share of that of x.
inline double relative_error(const Floats& x, const Floats& y) {
  double errors = 0, squares = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = double{y[i]} - x[i];
    errors += error * error;
    squares += double{x[i]} * x[i];
  }
  return std::sqrt(errors / squares);
}

}  // namespace hachi::quantize
