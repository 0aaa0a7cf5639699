// What config.json says of the packed matrices of a folder.
#pragma once

#include <cstdint>

#include "core/result.h"
#include "formats/checkpoint.h"
#include "model/packed_matrix.h"

namespace hachi::model {

struct PackedConfig {
  Packing packing = Packing::kGptq;
  bool less_one = false;  // zero points, in GPTQ's first format
  int64_t group = 0;      // columns; 0: not said, or a whole row
};

// Fails with kUnsupported, naming the key, for a packing that Hachi does not read.
Result<PackedConfig> read_packed_config(const formats::Checkpoint& checkpoint);

}  // namespace hachi::model
