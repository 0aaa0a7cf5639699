// Model: a decoder ready to run: its config, its weights and the forward pass over a batch.
#pragma once

#include <memory>

#include "core/result.h"
#include "formats/checkpoint.h"
#include "kernels/context.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/layer.h"
#include "model/rotations.h"
#include "model/shard.h"
#include "model/weights.h"

namespace hachi::model {

class Model {
 public:
  // Shares the checkpoint, whose mapping the weights are. With a shard of several it is that part
  // of the model, with the config of the part.
  static Result<Model> load(std::shared_ptr<const formats::Checkpoint> checkpoint,
                            const ConfigOptions& options = {}, Shard shard = {});

  // Puts the weights into the order that ctx's device prefers, on a GPU into its memory (repack.h).
  // Until then the weights are views into the mapped files.
  Result<void> repack(ops::Context& ctx);

  const ModelConfig& config() const { return config_; }

  // Bytes of weights that one decoded token reads: all matrices but the embedding table, of which
  // it reads a row.
  uint64_t bytes_per_token() const { return bytes_per_token_; }

  // Of the wide activations (layer.h) on this device, once the weights are there.
  DType activation_type(const ops::Context& ctx) const;

  // Runs the tokens of `batch` through all layers, stores their keys and values in `cache`, and
  // leaves the residual stream in a.x [T,C]. Every id lies in the vocabulary. Never allocates.
  void forward(ops::Context& ctx, const ops::BatchView& batch, const KvCache& cache,
               const Activations& a) const;

  // normed [R,C] = RMSNorm(x), of rows x [R,C] that forward left: the hidden states.
  void hidden(ops::Context& ctx, Tensor normed, ConstTensor x) const;

  // logits [R,V] = RMSNorm(x) Whead; `normed` [R,C] is scratch. Of a head that is divided among
  // ranks the first gets all columns, and the others have theirs.
  void logits(ops::Context& ctx, Tensor logits, ConstTensor x, Tensor normed) const;

 private:
  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  ModelConfig config_;
  Weights weights_;
  Rotations rotations_;
  Shard shard_;
  uint64_t bytes_per_token_ = 0;
};

}  // namespace hachi::model
