// The small ops of a layer on a GPU. Rows of activations are `stride` elements apart, f32 or bf16.
#pragma once

#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

struct Rows {
  void* data = nullptr;
  DType type = DType::kF32;  // or kBF16
  int64_t stride = 0;        // elements
};

// Rows of e4m3 as cuBLASLt takes them (gemm.h): x = q * scale.
struct Quantized {
  uint8_t* rows = nullptr;  // [T,C], dense
  // kRow: [T], written, the greatest |x| of the row / 448. kBlock128: [ceil(C/128), scale_stride],
  // written, of 128 elements of row t at [.., t]. kMatrix: [1], read.
  float* scales = nullptr;
  ScaleSpan span = ScaleSpan::kRow;
  int64_t scale_stride = 0;  // of kBlock128: T rounded up to a multiple of kGemmRows (gemm.h)
};

// y[t] = scale * table[ids[t]]; the table is f32, f16, bf16 or e4m3 rows [V,C], dense.
void embed(Stream stream, Rows y, const int32_t* ids, const void* table, DType table_type,
           float table_scale, int64_t rows, int64_t width);

// y = x / sqrt(mean(x^2) + eps) * weight, for `rows` rows of `heads` groups of `width` each. y may
// be x. The order of the sums depends on the width alone.
void rms_norm(Stream stream, Rows y, Rows x, const float* weight, float eps, int64_t rows,
              int64_t heads, int64_t width);

// cos_sin [T,D] f32 as rope_angles() of rope.h.
void rope_angles(Stream stream, float* cos_sin, const int32_t* positions, const float* inv_freq,
                 float magnitude, int64_t rows, int64_t head_dim);

// `to` = x, or if norm [C] is not null x / sqrt(mean(x^2) + eps) * norm, in one pass.
void quantize_rows(Stream stream, const Quantized& to, Rows x, const float* norm, float eps,
                   int64_t rows, int64_t width);

// `to` = act(gate) * up, as gated() below.
void quantize_gated(Stream stream, const Quantized& to, Rows gate_up, bool gelu, int64_t rows,
                    int64_t width);

// y += x
void add(Stream stream, Rows y, Rows x, int64_t rows, int64_t width);

// y = act(gate) * up, of gate_up [T,2F]; gelu: the tanh form, else silu.
void gated(Stream stream, Rows y, Rows gate_up, bool gelu, int64_t rows, int64_t width);

// y[r] = x[picked[r]], for `count` rows. `picked` is the GPU's or the host's; the host's are at
// most 64 and are copied by the call, so that a captured graph keeps them.
void gather(Stream stream, Rows y, Rows x, const int64_t* picked, int64_t count, int64_t width);

// y = x in another type.
void convert(Stream stream, Rows y, Rows x, int64_t rows, int64_t width);

// y [T,O] f32 = or += x [T,I] f32 times rows of f32 [O,I], one warp a sum: for models in f32, and
// for tests. The order of the sums depends on I alone.
void plain_matmul(Stream stream, Rows y, Rows x, const float* w, bool add, int64_t rows,
                  int64_t outputs, int64_t inputs);

}  // namespace hachi::ops::cuda
