#include "kernels/stages.h"

#include "kernels/gpu.h"

namespace hachi::ops {

void StageTimes::begin(Context& ctx) {
  stages_.clear();
  seconds_.clear();
  watch_.restart();
  if (ctx.device == Device::kCuda) ctx.gpu->begin_marks();
}

void StageTimes::mark(Context& ctx, Stage stage) {
  stages_.push_back(stage);
  if (ctx.device == Device::kCuda) return ctx.gpu->mark();
  seconds_.push_back(watch_.seconds());
  watch_.restart();
}

std::array<double, kNumStages> StageTimes::end(Context& ctx) {
  if (ctx.device == Device::kCuda) seconds_ = ctx.gpu->end_marks();
  std::array<double, kNumStages> sums{};
  for (size_t i = 0; i < stages_.size(); ++i) sums[static_cast<size_t>(stages_[i])] += seconds_[i];
  return sums;
}

}  // namespace hachi::ops
