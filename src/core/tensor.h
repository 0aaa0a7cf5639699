// Tensor: a view of numbers that somebody else owns (a Buffer, a mapped file). Copied by value, no
// heap, no reference counts. Row-major; the last dimension is always dense, the others may have any
// stride, so that columns of a wider matrix are a view too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "core/check.h"
#include "core/dtype.h"

namespace hachi::inline core {

// Byte is std::byte for a tensor that may be written and const std::byte for one that may not.
template <class Byte>
class BasicTensor {
  template <class T>
  using Like = std::conditional_t<std::is_const_v<Byte>, const T, T>;

 public:
  static constexpr int kMaxRank = 4;

  BasicTensor() = default;

  // A dense tensor over `data`. Sizes outermost first; the last is a multiple of the block size.
  BasicTensor(Like<void>* data, DType dtype, std::initializer_list<int64_t> sizes)
      : data_(static_cast<Byte*>(data)), dtype_(dtype), rank_(static_cast<int>(sizes.size())) {
    CHECK(rank_ >= 1 && rank_ <= kMaxRank);
    size_t at = 0;
    for (int64_t size : sizes) sizes_[at++] = size;
    int64_t bytes = core::row_bytes(dtype, sizes_[static_cast<size_t>(rank_ - 1)]);
    for (int i = rank_ - 2; i >= 0; --i) {
      strides_[static_cast<size_t>(i)] = bytes;
      bytes *= sizes_[static_cast<size_t>(i)];
    }
  }

  operator BasicTensor<const std::byte>() const  // NOLINT: a writable view is a readable one
      requires(!std::is_const_v<Byte>) {
    BasicTensor<const std::byte> view;
    view.data_ = data_;
    view.dtype_ = dtype_;
    view.rank_ = rank_;
    view.sizes_ = sizes_;
    view.strides_ = strides_;
    return view;
  }

  explicit operator bool() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  int rank() const { return rank_; }
  int64_t size(int dim) const { return sizes_[static_cast<size_t>(dim)]; }
  // Bytes from one index to the next of `dim`, which is not the last.
  int64_t stride_bytes(int dim) const { return strides_[static_cast<size_t>(dim)]; }
  Byte* data() const { return data_; }

  // First element of the tensor, or of row i of its first dimension.
  template <class T>
  Like<T>* as() const {
    return reinterpret_cast<Like<T>*>(data_);
  }
  template <class T = std::byte>
  Like<T>* row(int64_t i) const {
    return reinterpret_cast<Like<T>*>(data_ + i * strides_[0]);
  }

  // Indices [begin, begin + count) of a dimension that is not the last.
  BasicTensor slice(int dim, int64_t begin, int64_t count) const {
    CHECK(dim >= 0 && dim < rank_ - 1);
    CHECK(begin >= 0 && count >= 0 && begin + count <= size(dim));
    BasicTensor view = *this;
    view.data_ += begin * stride_bytes(dim);
    view.sizes_[static_cast<size_t>(dim)] = count;
    return view;
  }

  // Rows [begin, begin + count) of the first dimension.
  BasicTensor rows(int64_t begin, int64_t count) const { return slice(0, begin, count); }

  // Columns [begin, begin + count) of the last dimension, in whole blocks.
  BasicTensor columns(int64_t begin, int64_t count) const {
    const size_t last = static_cast<size_t>(rank_ - 1);
    CHECK(begin >= 0 && count >= 0 && begin + count <= sizes_[last]);
    BasicTensor view = *this;
    view.data_ += core::row_bytes(dtype_, begin);
    view.sizes_[last] = count;
    return view;
  }

 private:
  template <class>
  friend class BasicTensor;

  Byte* data_ = nullptr;
  DType dtype_ = DType::kF32;
  int rank_ = 0;
  std::array<int64_t, kMaxRank> sizes_{};
  std::array<int64_t, kMaxRank> strides_{};
};

using Tensor = BasicTensor<std::byte>;
using ConstTensor = BasicTensor<const std::byte>;

}  // namespace hachi::inline core
