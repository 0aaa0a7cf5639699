#include "kernels/memory.h"

#include <utility>

#include "kernels/gpu.h"

namespace hachi::ops {

Result<Memory> Memory::allocate(const Context& ctx, uint64_t bytes, Buffer::Pages pages) {
  Memory memory;
  if (ctx.device != Device::kCuda) {
    TRY(memory.buffer_, Buffer::allocate(bytes, pages));
    return memory;
  }
  CHECK(ctx.gpu != nullptr);
  TRY(memory.data_, ctx.gpu->allocate(bytes));
  memory.gpu_ = ctx.gpu;
  memory.bytes_ = bytes;
  ctx.gpu->zero(memory.data_, bytes);
  return memory;
}

Memory::~Memory() {
  if (gpu_ != nullptr) gpu_->free(data_, bytes_);
}

void Memory::swap(Memory& other) noexcept {
  std::swap(buffer_, other.buffer_);
  std::swap(gpu_, other.gpu_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
}

Result<HostMemory> HostMemory::allocate(const Context& ctx, uint64_t bytes) {
  HostMemory memory;
  TRY(memory.buffer_, Buffer::allocate(bytes));
  if (bytes > 0 && ctx.gpu != nullptr && ctx.gpu->pin(memory.data(), bytes)) memory.gpu_ = ctx.gpu;
  return memory;
}

// What still runs may use it.
HostMemory::~HostMemory() {
  if (gpu_ == nullptr) return;
  gpu_->wait();
  gpu_->unpin(buffer_.data());
}

void HostMemory::swap(HostMemory& other) noexcept {
  std::swap(buffer_, other.buffer_);
  std::swap(gpu_, other.gpu_);
}

}  // namespace hachi::ops
