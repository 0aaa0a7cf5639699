// A run of stored elements as f32, in plain code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace hachi::ops {

// Decodes the first n elements at `data` into y. n is a multiple of the block size of the type,
// which is any but I32; `data` may start at any byte. The scales of F8_E4M3 are not applied.
void decode(DType dtype, const std::byte* data, int64_t n, float* y);

// The inverse for plain floats, rounded to the nearest: f32, f16, bf16.
void encode(DType dtype, const float* x, int64_t n, std::byte* data);

}  // namespace hachi::ops
