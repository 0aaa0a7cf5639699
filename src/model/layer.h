// One decoder layer, forward, for every family (see layer.cc).
#pragma once

#include "kernels/context.h"
#include "kernels/matmul.h"
#include "model/config.h"
#include "model/weights.h"

namespace hachi::model {

// The activations between the ops of a forward pass: allocated once for the largest batch, viewed
// for each. T tokens; the letters as in layer.cc. f32, but for those that are `wide` (over()).
struct Activations {
  Tensor x;              // [T, C] the residual stream
  Tensor normed;         // [T, C]
  Tensor qkv;            // [T, (H+2G)*D] wide
  Tensor attended;       // [T, H*D] wide
  Tensor gate_up;        // [T, 2F] wide
  Tensor hidden;         // [T, F] wide
  Tensor cos_sin;        // [T, D] the rotations of this batch's positions
  Tensor local_cos_sin;  // [T, D] those of layers with a window, if they have their own; else empty

  Activations first(int64_t tokens) const;  // the same memory, for a smaller batch

  static uint64_t bytes(const ModelConfig& config, int64_t max_tokens, DType wide = DType::kF32);
  // Views into `memory`, which has bytes() of the same. `wide`: Model::activation_type().
  static Activations over(std::byte* memory, const ModelConfig& config, int64_t max_tokens,
                          DType wide = DType::kF32);
};

// The four activations of a layer that its matrices are multiplied with.
enum class LayerInput {
  kAttention,  // a.normed, of query, key and value
  kOut,        // a.attended
  kFfn,        // a.normed, of gate and up
  kDown,       // a.hidden
};

// Sees the inputs of a layer's matrices as they come: what measures which weights matter. It must
// not change them.
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  virtual void see(LayerInput which, ConstTensor x) = 0;
};

// x += attention block, then x += feed-forward block. `w` and `kv` are the weights and the part of
// the cache of layer `index`; `next` reads what it leaves.
void layer_forward(ops::Context& ctx, const ModelConfig& config, size_t index,
                   const LayerWeights& w, const ops::BatchView& batch, const ops::KvLayer& kv,
                   const Activations& a, const ops::Reader& next,
                   LayerObserver* observer = nullptr);

}  // namespace hachi::model
