#include <array>

#include "model/layer.h"

namespace hachi::model {
namespace {

// Rows of floats start on cache lines when the widths are multiples of 16, as real ones are.
constexpr uint64_t kAlignment = 256;

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

struct Part {
  Tensor Activations::*tensor;
  int64_t width;
  bool wide;
};

std::array<Part, 8> parts(const ModelConfig& c) {
  return {{{&Activations::x, c.hidden_size, false},
           {&Activations::normed, c.hidden_size, false},
           {&Activations::qkv, (c.num_heads + 2 * c.num_kv_heads) * c.head_dim, true},
           {&Activations::attended, c.num_heads * c.head_dim, true},
           {&Activations::gate_up, 2 * c.ffn_size, true},
           {&Activations::hidden, c.ffn_size, true},
           {&Activations::cos_sin, c.head_dim, false},
           {&Activations::local_cos_sin, c.local_rope ? c.head_dim : 0, false}}};
}

uint64_t part_bytes(const Part& part, int64_t max_tokens, DType wide) {
  const DType dtype = part.wide ? wide : DType::kF32;
  return aligned(static_cast<uint64_t>(max_tokens * row_bytes(dtype, part.width)));
}

}  // namespace

uint64_t Activations::bytes(const ModelConfig& config, int64_t max_tokens, DType wide) {
  uint64_t sum = 0;
  for (const Part& part : parts(config)) sum += part_bytes(part, max_tokens, wide);
  return sum;
}

Activations Activations::over(std::byte* memory, const ModelConfig& config, int64_t max_tokens,
                              DType wide) {
  Activations a;
  for (const Part& part : parts(config)) {
    a.*part.tensor = Tensor(memory, part.wide ? wide : DType::kF32, {max_tokens, part.width});
    memory += part_bytes(part, max_tokens, wide);
  }
  return a;
}

Activations Activations::first(int64_t tokens) const {
  Activations a = *this;
  for (Tensor* tensor : {&a.x, &a.normed, &a.qkv, &a.attended, &a.gate_up, &a.hidden, &a.cos_sin,
                         &a.local_cos_sin}) {
    *tensor = tensor->rows(0, tokens);
  }
  return a;
}

}  // namespace hachi::model
