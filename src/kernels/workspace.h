#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/buffer.h"
#include "core/check.h"

namespace hachi::ops {

// Memory that ops use within one call. It only grows, so that a steady state allocates nothing;
// the ops' headers say how much they take. Running out of memory here ends the process.
class Workspace {
 public:
  // At least that many bytes, with any content; what was handed out before is lost.
  std::byte* reserve(int64_t bytes) {
    const auto wanted = static_cast<uint64_t>(bytes);
    if (wanted > buffer_.bytes()) {
      Result<Buffer> grown = Buffer::allocate(wanted);
      CHECK(grown.has_value());
      buffer_ = std::move(*grown);
    }
    return buffer_.data();
  }

 private:
  Buffer buffer_;
};

}  // namespace hachi::ops
