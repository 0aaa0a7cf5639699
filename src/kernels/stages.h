// Where the time of forward passes goes, op by op: for measuring alone, as the ops of a GPU then
// run one by one and a step is not replayed.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "kernels/context.h"

namespace hachi::ops {

enum class Stage { kEmbed, kQkv, kAttention, kOut, kGateUp, kDown, kHead, kDraw };
inline constexpr size_t kNumStages = 8;
inline constexpr std::array<std::string_view, kNumStages> kStageNames = {
    "embed", "q,k,v", "attention", "out", "gate,up", "down", "head", "draw"};

class StageTimes {
 public:
  // From here on time counts.
  void begin(Context& ctx);
  // What ran since begin() or the mark before it was of this stage.
  void mark(Context& ctx, Stage stage);
  // The seconds of each stage since begin(); waits for the ops.
  std::array<double, kNumStages> end(Context& ctx);

 private:
  std::vector<Stage> stages_;    // of the marks
  std::vector<double> seconds_;  // of each, on processors
  Stopwatch watch_;
};

// Tells the context's StageTimes, if somebody measures.
inline void mark(Context& ctx, Stage stage) {
  if (ctx.stages != nullptr) ctx.stages->mark(ctx, stage);
}

}  // namespace hachi::ops
