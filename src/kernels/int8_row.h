// Activations as 8-bit integers with scales: what is multiplied with weights of a block type, so
// that all products and most sums are exact in integers.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace hachi::ops {

inline constexpr int64_t kInt8Block = 32;  // elements for which a row has a scale and two sums

// One row; x[i] is about scales[i / 32] * q[i].
struct Int8Row {
  int8_t* q;      // -127..127
  float* scales;  // one per 32 elements
  float* sums;    // two per 32 elements: what the mins of the first and of the last 16 weights are
                  // multiplied with, about the sum of x
};

// Rounds x as GGUF's implementation does before a product with weights of `dtype`, a block type of
// 32 or 256 elements; n is a multiple of that. In each block, with m = max |x|:
//
//   q = x * (127 / m) to the nearest integer, ties to even
//   32 (ggml's Q8_0, Q8_1):  scale = f16(m / 127), sums = {f16(m / 127 * sum of q), 0}
//   256 (ggml's Q8_K):       scale = 1 / (127 / m), sums = scale * sum of q of 16 elements each
//
// all in f32 but for f16(), which rounds to an f16 and back. A block whose 127 / m is infinite is
// all zeros; one that has an infinity or a NaN gets NaN for its scale and sums.
void round_to_int8(DType dtype, const float* x, int64_t n, const Int8Row& row);

}  // namespace hachi::ops
