#include "core/buffer.h"

#include <cstdlib>
#include <limits>
#include <sys/mman.h>

namespace hachi::inline core {
namespace {

// Asks for 2 MiB pages where whole ones fit: reading a gigabyte through 4 KiB pages takes several
// times as long (docs/kernels.md). Advice that the system may ignore.
void advise_huge_pages(std::byte* data, uint64_t bytes) {
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (address + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t end = (address + bytes) / kHugePage * kHugePage;
  if (begin < end) madvise(data + (begin - address), end - begin, MADV_HUGEPAGE);
}

}  // namespace

Result<Buffer> Buffer::allocate(uint64_t bytes) {
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
  buffer.data_.reset(aligned);
  buffer.bytes_ = bytes;
  advise_huge_pages(aligned, bytes);
  return buffer;
}

void Buffer::Free::operator()(std::byte* data) const {
  if (data != nullptr) std::free(reinterpret_cast<void**>(data)[-1]);
}

}  // namespace hachi::inline core
