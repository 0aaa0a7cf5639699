// Random weights in any type.
#pragma once

#include <cstddef>
#include <vector>

#include "core/dtype.h"

namespace hachi::model {

// Whole blocks of `dtype`, about kPatternBytes of them, whose values have a mean of about zero and
// a standard deviation of kSyntheticDeviation (for F8_E4M3 one that scales make so). The same bytes
// on every call.
std::vector<std::byte> random_blocks(DType dtype);

inline constexpr size_t kPatternBytes = size_t{1} << 22;
inline constexpr float kSyntheticDeviation = 0.02f;  // as in trained models of some 8B parameters
inline constexpr float kSyntheticF8Scale = 0.02f;

}  // namespace hachi::model
