// Reads how a checkpoint turns and scales its rotary positions.
#pragma once

#include "core/result.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/family.h"

namespace hachi::model {

// Sets config.rope and config.local_rope; the sizes are read before it. Knows config.json with
// rope_theta and rope_scaling (and Transformers 5's rope_parameters), and GGUF's FAMILY.rope.* keys
// with the tensors rope_freqs.weight and rope_factors_{long,short}.weight. If Phi-3's short list is
// the one for options.context, config.context_length becomes what that list was made for.
Result<void> read_rope(const formats::Checkpoint& checkpoint, const Family& family,
                       const ConfigOptions& options, ModelConfig& config);

}  // namespace hachi::model
