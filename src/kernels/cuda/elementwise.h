// The small ops of a layer on a GPU. Rows of activations are `stride` elements apart, f32 or bf16.
#pragma once

#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

struct Rows {
  void* data = nullptr;
  DType type = DType::kF32;  // or kBF16
  int64_t stride = 0;        // elements
};

// y[t] = scale * table[ids[t]]; the table is f32, f16, bf16 or e4m3 rows [V,C]; y f32.
void embed(Stream stream, Rows y, const int32_t* ids, const void* table, DType table_type,
           float table_scale, int64_t rows, int64_t width);

// y = x / sqrt(mean(x^2) + eps) * weight, for `rows` rows of `heads` groups of `width` each.
void rms_norm(Stream stream, Rows y, Rows x, const float* weight, float eps, int64_t rows,
              int64_t heads, int64_t width);

// cos_sin [T,D] f32 as rope_angles() of rope.h.
void rope_angles(Stream stream, float* cos_sin, const int32_t* positions, const float* inv_freq,
                 float magnitude, int64_t rows, int64_t head_dim);

// y += x
void add(Stream stream, Rows y, Rows x, int64_t rows, int64_t width);

// y = act(gate) * up, of gate_up [T,2F]; gelu: the tanh form, else silu.
void gated(Stream stream, Rows y, Rows gate_up, bool gelu, int64_t rows, int64_t width);

// y[r] = x[rows[r]], for `count` rows; `picked` may be the host's, at most 64 of them.
void gather(Stream stream, Rows y, Rows x, const int64_t* picked, int64_t count, int64_t width);

// y = x in another type.
void convert(Stream stream, Rows y, Rows x, int64_t rows, int64_t width);

// y [T,O] f32 = x [T,I] f32 times rows of f32, one warp a sum: for models in f32, and for tests.
void plain_matmul(Stream stream, Rows y, Rows x, const float* w, bool add, int64_t rows,
                  int64_t outputs, int64_t inputs);

}  // namespace hachi::ops::cuda
