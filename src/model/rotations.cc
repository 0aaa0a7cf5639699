#include "model/rotations.h"

#include "kernels/rope.h"

namespace hachi::model {

Rotations::Rotations(const ModelConfig& config)
    : frequencies_(inverse_frequencies(config.rope, config.head_dim)),
      magnitude_(config.rope.magnitude) {
  if (config.local_rope) {
    local_frequencies_ = inverse_frequencies(*config.local_rope, config.head_dim);
  }
}

void Rotations::compute(ops::Context& ctx, std::span<const int32_t> positions,
                        const Activations& a) const {
  ops::rope_angles(ctx, a.cos_sin, positions, frequencies_, magnitude_);
  if (local_frequencies_.empty()) return;
  ops::rope_angles(ctx, a.local_cos_sin, positions, local_frequencies_, 1);
}

}  // namespace hachi::model
