// A run of a block type as bytes with scales, in plain code: what products are computed from.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace hachi::ops {

inline constexpr int64_t kGroup = 16;  // elements that share a scale and a min in every block type

// Element i is scales[i / kGroup] * q[i] + mins[i / kGroup], rounded to f32 after each step.
struct UnpackedRow {
  int8_t* q;
  float* scales;
  float* mins;  // not touched for a type that has none
};

inline bool is_block_type(DType dtype) { return traits(dtype).block_size > 1; }

// True of Q4_1, Q5_1, Q2_K, Q4_K and Q5_K, whose q is never negative; the other block types have a
// signed q and no mins.
bool has_mins(DType dtype);

// Unpacks the first n elements at `data`, which may start at any byte. n is a multiple of the block
// size of the type.
void unpack(DType dtype, const std::byte* data, int64_t n, const UnpackedRow& row);

}  // namespace hachi::ops
