// What one launch of stream_kernel.cuh takes: StreamMatmul, with its products' tiles as one list.
#pragma once

#include <cuda.h>

#include "kernels/cuda/stream_matmul.h"

namespace hachi::ops::cuda {

struct StreamParams {
  CUtensorMap maps[StreamMatmul::kMaxProducts];  // of layouts in rows; set for each launch
  struct Product {
    const uint8_t* data;
    const float* scales;
    ScaleSpan span;
    void* y;
    int outputs;
    int groups;  // of outputs
  };
  Product products[StreamMatmul::kMaxProducts];
  int rows;           // T
  int inputs;         // I
  int element_bytes;  // of layouts in rows

  // A CTA takes groups of outputs, 16 or 32, whose finish it does at once. Group after group of one
  // product, then of the next; gated: of both.
  int group_outputs;
  int num_groups;
  int ring_stages;  // of each warp; set for each launch
  int x_pitch;      // bytes from row to row of x in shared memory; likewise

  const uint8_t* x;
  const OperandGroup* x_groups;
  const float* x_squares;
  const float* x_scales;  // of e4m3
  float eps;

  Finish finish;
  bool y_is_bf16;
  int64_t y_stride;
  Operand next;
  const float* next_norm;
};

// Rows [first, first + count) of x and of all that is written.
StreamParams rows_of(const StreamParams& all, int first, int count);

// One for each layout.
void stream_bf16(Stream stream, const StreamParams& params);
void stream_f8(Stream stream, const StreamParams& params);
void stream_int4(Stream stream, const StreamParams& params);
void stream_int4_min(Stream stream, const StreamParams& params);
void stream_int8(Stream stream, const StreamParams& params);
void stream_int8_half(Stream stream, const StreamParams& params);

// All rows at once (strip_kernel.cuh), of a multiple of 64 inputs, or 128 of e4m3; what comes next
// is bf16, if anything.
void strip_bf16(Stream stream, const StreamParams& params);
void strip_f8(Stream stream, const StreamParams& params);

// Fills `maps` (tensor_map.cuh).
void map_matrices(StreamParams& params, int box_rows, int box_bytes, int panels);

// Bytes of a row of x.
constexpr int operand_row_bytes(OperandType type, int inputs) {
  return type == OperandType::kBF16 ? 2 * inputs : inputs;
}

}  // namespace hachi::ops::cuda
