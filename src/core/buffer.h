// Buffer: the move-only owner of a block of memory, aligned for any vector load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/result.h"
#include "core/tensor.h"

namespace hachi::inline core {

class Buffer {
 public:
  static constexpr size_t kAlignment = 64;

  // kHuge: large pages, where the system has them, for memory that is soon used in full.
  enum class Pages { kNormal, kHuge };

  Buffer() = default;

  // Zeroed memory, touched only when used. Fails with kLimit if the system has not that much.
  static Result<Buffer> allocate(uint64_t bytes, Pages pages = Pages::kNormal);

  std::byte* data() const { return data_.get(); }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  uint64_t bytes_ = 0;
};

}  // namespace hachi::inline core
