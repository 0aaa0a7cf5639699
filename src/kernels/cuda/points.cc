// Points in a GPU's queue: a ring of events.
#include <array>
#include <cuda_runtime.h>

#include "core/check.h"
#include "kernels/cuda/device.h"

namespace hachi::ops::cuda {
namespace {

class Points final : public GpuPoints {
 public:
  explicit Points(const Device& device) : device_(device) {
    device_.use();
    for (cudaEvent_t& event : events_) HACHI_CUDA(cudaEventCreate(&event));
  }
  Points(const Points&) = delete;
  Points& operator=(const Points&) = delete;
  ~Points() override {
    device_.use();
    for (cudaEvent_t event : events_) HACHI_CUDA(cudaEventDestroy(event));
  }

  uint64_t set() override {
    HACHI_CUDA(cudaEventRecord(events_[count_ % kMost], device_.stream()));
    return count_++;
  }
  void wait_for(uint64_t point) override { HACHI_CUDA(cudaEventSynchronize(event(point))); }
  double seconds_between(uint64_t earlier, uint64_t later) override {
    CHECK_LT(earlier, later);
    float milliseconds = 0;
    HACHI_CUDA(cudaEventElapsedTime(&milliseconds, event(earlier), event(later)));
    return static_cast<double>(milliseconds) / 1000;
  }

 private:
  cudaEvent_t event(uint64_t point) const {
    CHECK(point < count_ && count_ - point <= kMost);
    return events_[point % kMost];
  }

  const Device& device_;
  std::array<cudaEvent_t, kMost> events_ = {};
  uint64_t count_ = 0;
};

}  // namespace

std::unique_ptr<GpuPoints> Device::make_points() { return std::make_unique<Points>(*this); }

}  // namespace hachi::ops::cuda
