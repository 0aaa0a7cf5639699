#include "model/model.h"

#include "kernels/collective.h"
#include "kernels/embed.h"
#include "kernels/fused.h"
#include "kernels/place.h"
#include "kernels/rms_norm.h"
#include "kernels/stages.h"
#include "model/repack.h"

namespace hachi::model {
namespace {

uint64_t matrix_bytes(const ops::Weight& weight) {
  return static_cast<uint64_t>(weight.values.size(0) *
                               row_bytes(weight.values.dtype(), weight.values.size(1)));
}

uint64_t decode_bytes(const Weights& weights) {
  uint64_t bytes = matrix_bytes(weights.head);
  for (const LayerWeights& layer : weights.layers) {
    for (const ops::Weight* weight : {&layer.query, &layer.key, &layer.value, &layer.out,
                                      &layer.gate, &layer.up, &layer.down}) {
      bytes += matrix_bytes(*weight);
    }
  }
  return bytes;
}

}  // namespace

Result<Model> Model::load(std::shared_ptr<const formats::Checkpoint> checkpoint,
                          const ConfigOptions& options, Shard shard) {
  Model model;
  TRY(const ModelConfig whole, read_config(*checkpoint, options));
  TRY(model.config_, shard_config(whole, shard.size));
  TRY(model.weights_, load_weights(*checkpoint, whole));
  TRY(shard_weights(model.weights_, whole, shard));
  model.shard_ = shard;
  model.checkpoint_ = std::move(checkpoint);
  model.rotations_ = Rotations(model.config_);
  model.bytes_per_token_ = decode_bytes(model.weights_);
  return model;
}

Result<void> Model::repack(ops::Context& ctx) { return model::repack(ctx, weights_); }

DType Model::activation_type(const ops::Context& ctx) const {
  return ops::activation_type(ctx, weights_.layers.front().query);
}

void Model::forward(ops::Context& ctx, const ops::BatchView& batch, const KvCache& cache,
                    const Activations& a) const {
  ops::embed(ctx, a.x, batch.ids, weights_.embedding, config_.embedding_scale);
  rotations_.compute(ctx, batch.positions, a);
  ops::mark(ctx, ops::Stage::kEmbed);
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    const bool last = i + 1 == weights_.layers.size();
    const ops::Reader next =
        last ? ops::Reader{weights_.final_norm, &weights_.head}
             : ops::Reader{weights_.layers[i + 1].attention_norm, &weights_.layers[i + 1].query};
    layer_forward(ctx, config_, i, weights_.layers[i], batch, cache.layer(i), a, next);
  }
}

void Model::hidden(ops::Context& ctx, Tensor normed, ConstTensor x) const {
  ops::rms_norm(ctx, normed, x, weights_.final_norm, config_.norm_eps);
}

void Model::logits(ops::Context& ctx, Tensor logits, ConstTensor x, Tensor normed) const {
  const bool is_divided = divides_head(config_, shard_.size);
  const int64_t width = weights_.head.values.size(0);
  const Tensor part = is_divided ? logits.columns(width * shard_.rank, width) : logits;
  ops::norm_matmul(ctx, {{part, &weights_.head}}, x, weights_.final_norm, config_.norm_eps, normed);
  if (is_divided) ctx.collective->gather_columns(ctx, logits);
  ops::mark(ctx, ops::Stage::kHead);
}

}  // namespace hachi::model
