// Products with weights that lie on the GPU, by the number of rows: streamed for few, cuBLASLt for
// many.
#pragma once

#include <span>

#include "kernels/cuda/device.h"
#include "kernels/cuda/stream_matmul.h"
#include "kernels/fused.h"
#include "kernels/matmul.h"

namespace hachi::ops::cuda {

OperandType operand_type(const Matrix& w);

// True if all weights can be streamed for so many rows.
bool streams(const Device& gpu, std::span<const Product> products, int64_t rows);

// The operand of x (f32 or bf16 [T,I]), times norm if that is there, for weights like `w`: the one
// that an earlier op left, or staged now.
Operand operand_of(Device& gpu, ConstTensor x, ConstTensor norm, const Matrix& w);

// Where to leave y [T,O] for its reader, if that will stream; else an operand without rows.
Operand operand_for(Device& gpu, ConstTensor y, const Reader& next);

// The first of the products, as many as one launch of stream_matmul() takes: how many those are.
struct StreamEnd {
  Finish finish = Finish::kStore;  // or kAdd
  float eps = 0;
};
size_t stream_first(Device& gpu, std::span<const Product> products, const Operand& x, int64_t rows,
                    const StreamEnd& end);

// y = x W^T for each, y += x W^T if `add`, with x as rows: bf16, dense, or f32 with f32 weights.
void multiply_rows(Device& gpu, std::span<const Product> products, ConstTensor x, bool add);

// The same with x, f32 or bf16, or with RMSNorm(x) if `norm` is there, for weights that take x in a
// form of their own, which one pass makes for all products: e4m3 by stream_matmul() or cuBLASLt, or
// tiles by batch_matmul(), up to some number of rows. False, and nothing done, if there are others.
bool multiply_made(Device& gpu, std::span<const Product> products, ConstTensor x, ConstTensor norm,
                   float eps, bool add);

// norm_gated_matmul() with x in e4m3 by stream_matmul(). False, and nothing done, if that does not
// take these weights and as many rows.
bool gate_f8(Device& gpu, const GatedMatmul& args);

// Leaves act(gate) * up of args.gate_up for args.next alone, if that will be a product of the kind
// above.
bool leave_gated(Device& gpu, const GatedMatmul& args);

}  // namespace hachi::ops::cuda
