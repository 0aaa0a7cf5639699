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

// Move-only memory of the processor that a context's device copies to and from at the bus's speed,
// where the system allows it. A GPU outlives it.
class HostMemory {
 public:
  HostMemory() = default;
  HostMemory(HostMemory&& other) noexcept { swap(other); }
  HostMemory& operator=(HostMemory&& other) noexcept {
    HostMemory(std::move(other)).swap(*this);
    return *this;
  }
  ~HostMemory();

  // Zeroed. Fails with kLimit if there is not that much.
  static Result<HostMemory> allocate(const Context& ctx, uint64_t bytes);

  std::byte* data() const { return buffer_.data(); }
  uint64_t bytes() const { return buffer_.bytes(); }

 private:
  void swap(HostMemory& other) noexcept;

  Buffer buffer_;
  Gpu* gpu_ = nullptr;  // that keeps it in place
};

}  // namespace hachi::ops
