// What the tests of the ops share: tensors of random numbers at awkward addresses, the contexts
// that every op is run with, and comparisons that print the worst element.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/ops.h"

namespace hachi::ops {

inline constexpr double kEpsilon = 0x1p-24;  // half a unit in the last place of f32, relative

// Bytes at `offset` from a 64-byte boundary that end where the heap block ends, so that the address
// sanitizer sees every step beyond them.
class Bytes {
 public:
  Bytes(int64_t size, int64_t offset)
      : data_(static_cast<std::byte*>(
            ::operator new (static_cast<size_t>(size + offset), std::align_val_t{64}))),
        offset_(offset),
        size_(size) {
    std::memset(data_.get(), 0xA5, static_cast<size_t>(size + offset));
  }
  std::byte* data() const { return data_.get() + offset_; }
  int64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* data) const { ::operator delete (data, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte, Free> data_;
  int64_t offset_;
  int64_t size_;
};

// An f32 matrix that is the middle columns of a wider one, one float off any vector boundary.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), bytes_(rows * (columns + 3) * 4, 4) {}
  Matrix(int64_t rows, int64_t columns, std::mt19937& random, double width = 1.0)
      : Matrix(rows, columns) {
    std::normal_distribution<double> normal(0.0, width);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) at(r, c) = static_cast<float>(normal(random));
    }
  }
  Tensor tensor() const {
    return Tensor(bytes_.data(), DType::kF32, {rows_, columns_ + 3}).columns(1, columns_);
  }
  // Its first row, as a vector.
  ConstTensor vector() const { return ConstTensor(&at(0, 0), DType::kF32, {columns_}); }
  float& at(int64_t r, int64_t c) const { return tensor().row<float>(r)[c]; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  // All bytes, those between the rows too.
  bool same_bytes(const Matrix& other) const {
    return bytes_.size() == other.bytes_.size() &&
           std::memcmp(bytes_.data(), other.bytes_.data(), static_cast<size_t>(bytes_.size())) == 0;
  }
  Matrix copy() const {
    Matrix copied(rows_, columns_);
    std::memcpy(copied.bytes_.data(), bytes_.data(), static_cast<size_t>(bytes_.size()));
    return copied;
  }

 private:
  int64_t rows_, columns_;
  Bytes bytes_;
};

// Each set of inner loops that this processor can run, the plain one first.
inline std::vector<CpuFeatures> instruction_sets() {
  const CpuFeatures& has = cpu_features();
  std::vector<CpuFeatures> sets = {{}};
  if (has.avx2) sets.push_back({.avx2 = true});
  if (has.avx_vnni) sets.push_back({.avx2 = true, .avx_vnni = true});
  if (has.avx512) sets.push_back({.avx2 = true, .avx512 = true});
  if (has.amx) sets.push_back({.avx2 = true, .avx512 = true, .amx = true});
  if (has.neon_dot) sets.push_back({.neon_dot = true});
  return sets;
}

inline std::string_view name(const CpuFeatures& set) {
  if (set.amx) return "amx";
  if (set.avx512) return "avx512";
  if (set.avx_vnni) return "avx_vnni";
  if (set.avx2) return "avx2";
  return set.neon_dot ? "neon_dot" : "portable";
}

// A context of its own pool.
class Runner {
 public:
  Runner(Device device, const CpuFeatures& features, int threads) : pool_(threads) {
    ctx_.device = device;
    ctx_.pool = &pool_;
    ctx_.features = features;
    name_ = device == Device::kRef ? "ref" : fmt::format("{} x {}", ops::name(features), threads);
  }
  Context& ctx() { return ctx_; }
  const Context& ctx() const { return ctx_; }
  const std::string& name() const { return name_; }

 private:
  ThreadPool pool_;
  Context ctx_;
  std::string name_;
};

// Calls body(runner) for each instruction set, with an odd number of threads.
template <class Body>
void for_each_set(const Body& body) {
  for (const CpuFeatures& set : instruction_sets()) {
    Runner runner(Device::kCpu, set, 3);
    SCOPED_TRACE(runner.name());
    body(runner);
  }
}

// |got - want| <= tolerance(r, c) for all elements; prints the one that is off by most.
template <class Tolerance>
void expect_close(const Matrix& got, const Matrix& want, const Tolerance& tolerance) {
  double worst = 0;
  std::string message;
  for (int64_t r = 0; r < want.rows(); ++r) {
    for (int64_t c = 0; c < want.columns(); ++c) {
      const double error = std::abs(static_cast<double>(got.at(r, c)) - want.at(r, c));
      const double allowed = tolerance(r, c);
      if (error <= allowed) continue;  // false for NaN
      const double excess = std::isnan(error) ? HUGE_VAL : error / allowed;
      if (excess < worst) continue;
      worst = excess;
      message = fmt::format("worst at [{}, {}]: got {}, want {}, off by {}, allowed {}", r, c,
                            got.at(r, c), want.at(r, c), error, allowed);
    }
  }
  EXPECT_TRUE(message.empty()) << message;
}

inline const std::vector<DType>& weight_types() {
  static const std::vector<DType> types = [] {
    std::vector<DType> all;
    for (int i = 0; i < kNumDTypes; ++i) {
      if (static_cast<DType>(i) != DType::kI32) all.push_back(static_cast<DType>(i));
    }
    return all;
  }();
  return types;
}

// Random weights of any type, at an odd address; FP8 with scales by blocks of 128 or as told.
class RandomWeight {
 public:
  RandomWeight(DType dtype, int64_t rows, int64_t columns, std::mt19937& random);
  const Weight& weight() const { return weight_; }
  // The same values in panels alone, without the rows; a type that has none keeps its rows.
  const Weight& panels() const { return in_panels_; }
  // FP8 only: bf16 scales, one a block of that size; 0 rows: one f32 scale for all.
  void scale_blocks(int block_rows, int block_cols, std::mt19937& random);

 private:
  Bytes bytes_;
  std::unique_ptr<Bytes> scales_;
  std::unique_ptr<Bytes> panels_;
  Weight weight_;
  Weight in_panels_;
};

// Byte offsets of a block's f16 scales, which must not be random bits.
std::vector<int64_t> scale_offsets(DType dtype);

}  // namespace hachi::ops
