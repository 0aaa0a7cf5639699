#pragma once

#include "core/buffer.h"
#include "core/result.h"
#include "kernels/context.h"

namespace hachi::ops {

// Move-only memory of a context's device. A GPU outlives what was allocated on it.
class Memory {
 public:
  Memory() = default;
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    Memory(std::move(other)).swap(*this);
    return *this;
  }
  ~Memory();

  // Zeroed. Fails with kLimit if there is not that much.
  static Result<Memory> allocate(const Context& ctx, uint64_t bytes,
                                 Buffer::Pages pages = Buffer::Pages::kNormal);

  std::byte* data() const { return gpu_ != nullptr ? data_ : buffer_.data(); }
  uint64_t bytes() const { return gpu_ != nullptr ? bytes_ : buffer_.bytes(); }

 private:
  void swap(Memory& other) noexcept;

  Buffer buffer_;  // without a GPU
  Gpu* gpu_ = nullptr;
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace hachi::ops
