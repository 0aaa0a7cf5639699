#pragma once

#include <span>

#include "kernels/context.h"

namespace hachi::ops {

// y[t,o] = sum over i of x[t,i] * w[o,i]
//
//   y  [T,O] f32, written; must not overlap x
//   x  [T,I] f32
//   w  [O,I], as rows or as panels (panels.h)
//
// F32, F16, BF16 and F8_E4M3 weights are multiplied in f32. With weights of a block type, on every
// device, x is first rounded to 8-bit integers in blocks of 32 (Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL) or
// 256 (Q2_K .. Q6_K, IQ4_XS), as GGUF's own implementation does (ggml's blocks Q8_0, Q8_1, Q8_K);
// int8_row.h has the formula. Then, over the groups g of 16 elements,
//
//   y = sum of (x.scale * w.scale[g]) * (integer sum of x.q * w.q) + x.sums[g] * w.min[g]
//
// kCpu sums in f32, in an order set by I alone, so a token's result never depends on its
// neighbours. Rows: element i goes to lane i % 8, or with block types to lane i / 4 % 8 as the
// integer sum of four; each lane adds in the order of i, then the eight lanes are added in one
// fixed tree. Panels: one multiply-add for each block's integer sum, in order, and one for its
// mins; plain types in runs of 256; BF16 on AMX in tiles of 32, with x rounded to bf16. Rows
// and panels differ by roundings. kCpu takes up to 11/8 byte of workspace for each element of x
// with rows of a block type, and four bytes with panels.
void matmul(Context& ctx, Tensor y, ConstTensor x, const Weight& w);

// Who reads a result next: its product with w, after RMSNorm if norm is there. A hint: a GPU then
// leaves the result in the form that the reader takes, and saves it a pass; of a gated block in
// that form alone.
struct Reader {
  ConstTensor norm;
  const Weight* w = nullptr;
};

// y[t,o] += sum over i of x[t,i] * w[o,i]; the sum is complete before it is added to y.
void matmul_add(Context& ctx, Tensor y, ConstTensor x, const Weight& w, const Reader& next = {});

// True if products on this device are faster with the panels of w (panels.h) than with its rows.
bool prefers_panels(const Context& ctx, const Weight& w);

// One of several products with the same x.
struct Product {
  Tensor y;
  const Weight* w;
};

// All of them, as matmul() gives each; x is rounded once and the threads meet once.
void matmul(Context& ctx, std::span<const Product> products, ConstTensor x);
template <size_t N>
void matmul(Context& ctx, const Product (&products)[N], ConstTensor x) {
  matmul(ctx, std::span<const Product>(products), x);
}

}  // namespace hachi::ops
