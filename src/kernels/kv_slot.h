// Where a position of a sequence lies in the cache.
#pragma once

#include "kernels/context.h"

namespace hachi::ops {

// The D elements of `head` at `position`, in keys or values [num_pages,G,P,D].
template <class Byte>
Byte* kv_slot(const BasicTensor<Byte>& cache, std::span<const int32_t> pages, int64_t position,
              int64_t head) {
  const int64_t page_size = cache.size(2);
  const int64_t page = pages[static_cast<size_t>(position / page_size)];
  return cache.data() + page * cache.stride_bytes(0) + head * cache.stride_bytes(1) +
         position % page_size * cache.stride_bytes(2);
}

}  // namespace hachi::ops
