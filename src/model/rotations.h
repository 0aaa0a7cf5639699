// The rotations that a model's rotary positions ask for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/context.h"
#include "model/config.h"
#include "model/layer.h"

namespace hachi::model {

class Rotations {
 public:
  Rotations() = default;
  explicit Rotations(const ModelConfig& config);

  // Fills a.cos_sin, and a.local_cos_sin if the model has it, for the positions of a batch. Once a
  // forward pass, for all layers.
  void compute(ops::Context& ctx, std::span<const int32_t> positions, const Activations& a) const;

 private:
  std::vector<float> frequencies_;
  std::vector<float> local_frequencies_;  // empty if all layers turn alike
  float magnitude_ = 1;
};

}  // namespace hachi::model
