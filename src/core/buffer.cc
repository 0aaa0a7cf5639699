#include "core/buffer.h"

#include <cstdlib>
#include <limits>
#include <sys/mman.h>
#include <unistd.h>

namespace hachi::inline core {

namespace {

void advise_huge_pages(std::byte* data, uint64_t bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  // A system without them serves the memory all the same.
  if (begin < end) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace

Result<Buffer> Buffer::allocate(uint64_t bytes, Pages pages) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  // calloc hands out fresh zero pages lazily, which aligned_alloc + memset would touch at once; so
  // ask for room to align by hand and keep the original pointer just before the aligned one.
  const uint64_t overhead = kAlignment + sizeof(void*);
  void* raw = nullptr;
  if (bytes <= std::numeric_limits<uint64_t>::max() / 2) raw = std::calloc(1, bytes + overhead);
  if (raw == nullptr) {
    return fail(Code::kLimit, "not enough memory: {} bytes could not be allocated", bytes);
  }
  auto address = reinterpret_cast<uintptr_t>(raw) + overhead;
  address -= address % kAlignment;
  auto* aligned = reinterpret_cast<std::byte*>(address);
  reinterpret_cast<void**>(aligned)[-1] = raw;
  if (pages == Pages::kHuge) advise_huge_pages(aligned, bytes);
  buffer.data_.reset(aligned);
  buffer.bytes_ = bytes;
  return buffer;
}

void Buffer::Free::operator()(std::byte* data) const {
  if (data != nullptr) std::free(reinterpret_cast<void**>(data)[-1]);
}

}  // namespace hachi::inline core
