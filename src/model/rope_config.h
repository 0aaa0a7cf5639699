// Reads how a checkpoint scales its rotary positions.
#pragma once

#include <string_view>

#include "core/result.h"
#include "formats/checkpoint.h"
#include "model/rope_frequencies.h"

namespace hachi::model {

// All but `layout`. Knows config.json with rope_theta and rope_scaling (and Transformers 5's
// rope_parameters), and GGUF's FAMILY.rope.* keys with the tensor rope_freqs.weight.
Result<RopeConfig> read_rope_config(const formats::Checkpoint& checkpoint, std::string_view family,
                                    int64_t head_dim, YarnMagnitude magnitude);

}  // namespace hachi::model
