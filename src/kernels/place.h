// Bringing weights to a GPU, in the order in which it reads them.
#pragma once

#include "core/result.h"
#include "kernels/context.h"

namespace hachi::ops {

enum class Use {
  kProduct,  // of matmul()
  kTable,    // of embed(), and of products too if it is of a plain type
};

// Bytes that w will take on ctx's GPU; a multiple of 256.
uint64_t placed_bytes(const Weight& w, Use use);

// Copies the rows of w to `memory`, of placed_bytes(), and gives the weight that lies there. The
// rows are not needed any more; norms and other plain tensors go by upload().
Weight place(Context& ctx, const Weight& w, Use use, std::byte* memory);

// The type of the activations between products with such weights: bf16 on a GPU, unless the weights
// are f32; f32 on processors.
DType activation_type(const Context& ctx, const Weight& w);

}  // namespace hachi::ops
