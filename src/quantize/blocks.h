// Turns floats into the blocks of GGUF's types: what `hachi quantize` writes.
//
// Q8_0 always, and Q4_0, Q4_1, Q5_0 and Q5_1 without importance, are the format's reference
// rounding, bit for bit. All other types search for the scales, mins and integers that make
//
//   sum over i of importance[i] * sqrt(mean of x^2 + x[i]^2) * (x[i] - decoded[i])^2
//
// small, each block by itself; the mean is that of the block. docs/kernels.md says how. The same
// input gives the same bits on every processor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace hachi::quantize {

// True of F32, F16, BF16 and all block types.
bool can_quantize(DType type);

// True of the types that lose too much where nothing says which inputs matter: IQ2_XXS and IQ2_XS.
// quantize_row() takes them without importance all the same.
bool needs_importance(DType type);

// Writes the row_bytes(type, n) bytes of the n floats at x, in a type that can_quantize(), to
// `out`, which may start at any byte. n is a multiple of the block size.
//
// importance: n weights of the squared error of each element of the row (from an importance
// matrix), or nullptr for all the same. Only their ratios within a block count; one that is
// negative or NaN counts as 0, one below a thousandth of the block's mean as that much, and a block
// in which none is above 0 as if they were all the same.
//
// The plain types round to nearest, and keep infinities and NaN. In block types a NaN counts as 0,
// and what lies beyond the largest f16, 65504, as that; all decoded values are finite.
//
// Any number of threads may call this at once, each for rows of its own.
void quantize_row(DType type, const float* x, int64_t n, const float* importance, std::byte* out);

}  // namespace hachi::quantize
