// Reads what a parser says may be read, for AddressSanitizer to watch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "core/tensor.h"

namespace hachi {

// The first and the last byte of a dense tensor.
inline void touch(const ConstTensor& tensor) {
  int64_t bytes = row_bytes(tensor.dtype(), tensor.size(tensor.rank() - 1));
  for (int i = 0; i + 1 < tensor.rank(); ++i) bytes *= tensor.size(i);
  CHECK_GT(bytes, 0);
  volatile std::byte read = tensor.data()[0];
  read = tensor.data()[bytes - 1];
  (void)read;
}

}  // namespace hachi
