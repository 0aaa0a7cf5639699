// Models without a file: the shape of a known one, random weights. For measuring, where what the
// weights say does not matter and their types and sizes do.
#pragma once

#include <string_view>

#include "core/result.h"
#include "formats/checkpoint.h"

namespace hachi::model {

inline constexpr std::string_view kSyntheticPrefix = "synthetic:";

// The checkpoint of "synthetic:SHAPE:TYPE". SHAPE is one of synthetic_shapes(); TYPE is the name of
// a type that weights can have, or of a mixture (q4_k_s, q4_k_m, q5_k_s, q5_k_m), in any case of
// letters. Each matrix has the type that llama.cpp's quantizer gives it: the output matrix of a
// smaller type is Q6_K, and rows that are not whole blocks of 256 get a type with blocks of 32.
// Takes the memory of the weights, and a second for each few gigabytes. Has no tokenizer.
Result<formats::Checkpoint> synthetic_checkpoint(std::string_view name);

// The names of the shapes, separated by commas.
std::string synthetic_shapes();

}  // namespace hachi::model
