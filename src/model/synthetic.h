// Models without a file: the shape of a known one, random weights. For measuring, where what the
// weights say does not matter and their types and sizes do.
#pragma once

#include <string_view>

#include "core/result.h"
#include "formats/checkpoint.h"

namespace hachi::model {

inline constexpr std::string_view kSyntheticPrefix = "synthetic:";

// The checkpoint of "synthetic:SHAPE:TYPE". SHAPE is one of synthetic_shapes(); TYPE, in any case
// of letters, is the name of a kind of file (find_file_type() of mixture.h), where each matrix has
// the type that it has in such a file, or F8_E4M3 or W4, where all have that type or Q4_0. Takes
// the memory of the weights, and a second for each few gigabytes. Has no tokenizer.
Result<formats::Checkpoint> synthetic_checkpoint(std::string_view name);

// The names of the shapes, separated by commas.
std::string synthetic_shapes();

}  // namespace hachi::model
