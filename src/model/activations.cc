#include "model/layer.h"

namespace hachi::model {
namespace {

// The width of each activation, in the order of the struct's fields.
struct Widths {
  int64_t x, normed, qkv, attended, gate_up, hidden, cos_sin, local_cos_sin;

  explicit Widths(const ModelConfig& c)
      : x(c.hidden_size),
        normed(c.hidden_size),
        qkv((c.num_heads + 2 * c.num_kv_heads) * c.head_dim),
        attended(c.num_heads * c.head_dim),
        gate_up(2 * c.ffn_size),
        hidden(c.ffn_size),
        cos_sin(c.head_dim),
        local_cos_sin(c.local_rope ? c.head_dim : 0) {}

  int64_t sum() const {
    return x + normed + qkv + attended + gate_up + hidden + cos_sin + local_cos_sin;
  }
};

// Rows of floats start on cache lines when the widths are multiples of 16, as real ones are.
constexpr uint64_t kAlignment = Buffer::kAlignment;
constexpr uint64_t kNumActivations = 8;

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

uint64_t Activations::bytes(const ModelConfig& config, int64_t max_tokens) {
  const auto floats = static_cast<uint64_t>(Widths(config).sum() * max_tokens);
  return floats * sizeof(float) + kNumActivations * kAlignment;
}

Activations Activations::over(const Buffer& memory, const ModelConfig& config, int64_t max_tokens) {
  const Widths widths(config);
  std::byte* at = memory.data();
  const auto take = [&](int64_t width) {
    Tensor tensor(at, DType::kF32, {max_tokens, width});
    at += aligned(static_cast<uint64_t>(max_tokens * width) * sizeof(float));
    return tensor;
  };
  Activations a;
  a.x = take(widths.x);
  a.normed = take(widths.normed);
  a.qkv = take(widths.qkv);
  a.attended = take(widths.attended);
  a.gate_up = take(widths.gate_up);
  a.hidden = take(widths.hidden);
  a.cos_sin = take(widths.cos_sin);
  a.local_cos_sin = take(widths.local_cos_sin);
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
