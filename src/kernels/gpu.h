// A GPU as the rest of the program sees it: what it is, its memory, its queue of work.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "kernels/context.h"

namespace hachi::ops {

struct GpuInfo {
  int index = 0;  // among all of the machine
  std::string name;
  uint64_t memory_bytes = 0;
  uint64_t free_bytes = 0;  // when it was looked at
  int multiprocessors = 0;
  int compute_major = 0, compute_minor = 0;
};

// Names work whose ops have the same shapes and addresses each time.
struct ReplayKey {
  const void* owner = nullptr;  // of the memory that it works on
  uint64_t shape = 0;
  bool operator==(const ReplayKey&) const = default;
};

struct GpuOptions {
  int index = 0;              // in list_gpus()
  uint64_t memory_bytes = 0;  // that may be taken at most; 0: all that is free
  uint64_t left_bytes = 0;    // of what is free, for libraries beside this program
  // A row's bits are the same beside any others, in steps of any kind: all products and all of
  // attention go the way of many rows, which is slower for few.
  bool deterministic = false;
};

// What a GPU does at most, measured: the limits that speeds are printed beside.
struct GpuLimits {
  double read = 0;  // bytes a second from its memory
  double bf16 = 0;  // operations a second of large products; a multiply-add counts as two
  double fp8 = 0;
};

// The GPUs that this build can use: none if it has no CUDA, the machine no driver, or the chip is
// not one that the kernels were made for.
std::vector<GpuInfo> list_gpus();

// Bytes that Gpu::open() would let be taken.
uint64_t usable_bytes(const GpuInfo& info, const GpuOptions& options);

// Places in a GPU's queue, each behind all work that was given before it was set. An owner's last
// kMost are kept, whatever others set meanwhile. The GPU outlives it.
class GpuPoints {
 public:
  static constexpr uint64_t kMost = 16;
  virtual ~GpuPoints() = default;

  virtual uint64_t set() = 0;
  // Waits for the work before a point, not for what was given since.
  virtual void wait_for(uint64_t point) = 0;
  // Between two points that were reached.
  virtual double seconds_between(uint64_t earlier, uint64_t later) = 0;
};

// Not thread-safe. Work runs in the order in which it was given, while the caller goes on.
class Gpu {
 public:
  // Fails with kUnsupported if list_gpus() has no such GPU.
  static Result<std::unique_ptr<Gpu>> open(const GpuOptions& options);
  virtual ~Gpu() = default;

  virtual const GpuInfo& info() const = 0;
  virtual uint64_t memory_limit() const = 0;
  virtual uint64_t memory_used() const = 0;

  // 256-byte aligned, with any content. Fails with kLimit, with the numbers.
  virtual Result<std::byte*> allocate(uint64_t bytes) = 0;
  virtual void free(std::byte* data, uint64_t bytes) = 0;

  // Keeps the processor's memory in place while it is used, so that copies to and from it run at
  // the bus's speed; false if the system does not allow it, and copies are slower.
  virtual bool pin(std::byte* host, uint64_t bytes) = 0;
  virtual void unpin(std::byte* host) = 0;

  virtual void upload(std::byte* to, const std::byte* from, uint64_t bytes) = 0;
  // Waits for all work before it.
  virtual void download(std::byte* to, const std::byte* from, uint64_t bytes) = 0;
  // The same in the order of the queue, without a wait: the processor's memory is not touched
  // before wait(). Pinned memory is copied at the bus's speed.
  virtual void queue_upload(std::byte* to, const std::byte* from, uint64_t bytes) = 0;
  virtual void queue_download(std::byte* to, const std::byte* from, uint64_t bytes) = 0;
  // The same behind all work that was given before, but beside what is given next, up to
  // join_beside(): what is given after that finds it done.
  virtual void queue_download_beside(std::byte* to, const std::byte* from, uint64_t bytes) = 0;
  virtual void join_beside() = 0;
  virtual void zero(std::byte* data, uint64_t bytes) = 0;
  virtual void wait() = 0;

  virtual std::unique_ptr<GpuPoints> make_points() = 0;

  // Takes a second and 3 GB of its memory; fails with kLimit without that.
  virtual Result<GpuLimits> measure_limits() = 0;

  // For stages.h: seconds from each mark to the next one.
  virtual void begin_marks() = 0;
  virtual void mark() = 0;
  virtual std::vector<double> end_marks() = 0;

  // For step.h.
  virtual void begin_step(const BatchView& batch) = 0;
  virtual void replay(const ReplayKey& key, const std::function<void()>& work) = 0;
  // What was kept for this owner is not asked for again.
  virtual void forget(const void* owner) = 0;
};

}  // namespace hachi::ops
