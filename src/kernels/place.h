// Bringing weights to a GPU, in the order in which it reads them.
#pragma once

#include "core/result.h"
#include "kernels/context.h"

namespace hachi::ops {

enum class Use {
  kProduct,  // of matmul()
  kTable,    // of embed(), and of products too if it is of a plain type
};

// Bytes that w will take on ctx's GPU; multiples of 256.
struct PlacedBytes {
  uint64_t values = 0;
  uint64_t scales = 0;  // those that lie apart
  uint64_t all() const { return values + scales; }
};
PlacedBytes placed_bytes(const Weight& w, Use use);

// Copies the rows of w to `values` and `scales`, of placed_bytes(), and gives the weight that lies
// there. The rows are not needed any more; norms and other plain tensors go by upload(). Weights of
// one x whose values follow each other, and whose scales do too, can be one product.
Weight place(Context& ctx, const Weight& w, Use use, std::byte* values, std::byte* scales);

// The type of the activations between products with such weights: bf16 on a GPU, unless the weights
// are f32; f32 on processors.
DType activation_type(const Context& ctx, const Weight& w);

}  // namespace hachi::ops
