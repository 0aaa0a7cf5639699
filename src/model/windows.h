// Reads how far back each layer of a checkpoint looks.
#pragma once

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "formats/checkpoint.h"
#include "model/family.h"

namespace hachi::model {

// Of each layer the positions that a token sees, its own among them; 0: all. Knows config.json with
// layer_types, or sliding_window and what each family has beside it, and GGUF's
// FAMILY.attention.sliding_window and .sliding_window_pattern.
Result<std::vector<int64_t>> read_windows(const formats::Checkpoint& checkpoint,
                                          const Family& family, int64_t num_layers);

}  // namespace hachi::model
