// quantize_row() of blocks.h with a given set of loops, for the test that holds the sets to the
// same bits.
#pragma once

#include "quantize/blocks.h"
#include "quantize/search.h"

namespace hachi::quantize {

void quantize_row(DType type, const float* x, int64_t n, const float* importance, std::byte* out,
                  const SearchLoops& loops);

}  // namespace hachi::quantize
