// Matrices of block types in the order in which the matrix units of a GPU take them: tiles of 16
// rows, each in one stream of bytes.
#pragma once

#include "core/dtype.h"
#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

// The layout that a matrix of this type gets on a GPU: Q4_0 kInt4; Q4_1 and Q4_K kInt4Min; Q8_0,
// Q5_0 and IQ4_NL kInt8; Q6_K, Q3_K kInt8Half; F32 kF32; F8_E4M3 kF8; all others kBF16. Shapes that
// a layout cannot have (outputs % 16, inputs % 256) become kBF16 too.
Layout layout_of(DType dtype, int64_t outputs, int64_t inputs);

// Bytes of Matrix::data.
int64_t matrix_bytes(Layout layout, int64_t outputs, int64_t inputs);

// Fills Matrix::data from rows as files have them, `source` [O,I] dense in the GPU's memory, at an
// even address. Integers and the f16 scales of 32 are kept as they are; the products of two scales
// that Q4_K, Q6_K and Q3_K have (d * scale, dmin * min) are rounded to f16, and what becomes kBF16
// is rounded to that.
void pack(Stream stream, void* data, Layout layout, const void* source, DType dtype,
          int64_t outputs, int64_t inputs);

// Rows [begin, begin + count) of the matrix as bf16 [count,I], for products of many rows.
void unpack_bf16(Stream stream, void* to, const Matrix& w, int64_t begin, int64_t count);

}  // namespace hachi::ops::cuda
