#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"

namespace hachi::ops {

// Elements [first, first + n) of a row in the bytes that a file has: where they lie, or gathered
// from the panels into `scratch`, which has row_bytes(type, n). Both are whole blocks, and of BF16
// whole pairs.
const std::byte* weight_blocks(const Weight& w, int64_t row, int64_t first, int64_t n,
                               std::byte* scratch);

}  // namespace hachi::ops
