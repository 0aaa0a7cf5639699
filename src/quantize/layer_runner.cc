#include "quantize/layer_runner.h"

#include <numeric>

#include "kernels/embed.h"

namespace hachi::quantize {

std::vector<std::string> matrices_of(model::LayerInput which, int64_t layer, bool fused) {
  std::vector<std::string> names;
  const auto add = [&](std::string_view name) {
    names.push_back(fmt::format("blk.{}.{}.weight", layer, name));
  };
  switch (which) {
    case model::LayerInput::kAttention:
      if (fused) {
        add("attn_qkv");
      } else {
        for (const char* name : {"attn_q", "attn_k", "attn_v"}) add(name);
      }
      break;
    case model::LayerInput::kOut:
      add("attn_output");
      break;
    case model::LayerInput::kFfn:
      if (!fused) add("ffn_gate");
      add("ffn_up");
      break;
    case model::LayerInput::kDown:
      add("ffn_down");
      break;
  }
  return names;
}

Result<LayerRunner> LayerRunner::create(std::shared_ptr<const formats::Checkpoint> checkpoint,
                                        int64_t chunk_size, ThreadPool& pool) {
  LayerRunner runner;
  TRY(runner.config_, model::read_config(*checkpoint, {}));
  if (chunk_size < 1 || chunk_size > runner.config_.context_length) {
    return fail(Code::kInvalidArgument, "the chunk must have 1 to the model's {} tokens, got {}",
                runner.config_.context_length, chunk_size);
  }
  TRY(runner.weights_, model::load_weights(*checkpoint, runner.config_));
  runner.checkpoint_ = std::move(checkpoint);
  runner.rotations_ = model::Rotations(runner.config_);
  runner.ctx_.pool = &pool;
  constexpr int64_t kPage = model::KvCache::kPageTokens;
  const int64_t num_pages = (chunk_size + kPage - 1) / kPage;
  TRY(runner.cache_, model::KvCache::allocate(runner.ctx_, runner.config_, num_pages, DType::kF16));
  runner.pages_.resize(static_cast<size_t>(num_pages));
  std::iota(runner.pages_.begin(), runner.pages_.end(), 0);
  runner.positions_.resize(static_cast<size_t>(chunk_size));
  std::iota(runner.positions_.begin(), runner.positions_.end(), 0);
  TRY(runner.memory_, Buffer::allocate(model::Activations::bytes(runner.config_, chunk_size)));
  runner.all_ = model::Activations::over(runner.memory_.data(), runner.config_, chunk_size);
  return runner;
}

void LayerRunner::start_chunk(int64_t tokens) {
  chunk_ = all_.first(tokens);
  const std::span<const int32_t> positions(positions_.data(), static_cast<size_t>(tokens));
  rotations_.compute(ctx_, positions, chunk_);
}

void LayerRunner::embed(std::span<const int32_t> tokens) {
  start_chunk(static_cast<int64_t>(tokens.size()));
  ops::embed(ctx_, chunk_.x, tokens, weights_.embedding, config_.embedding_scale);
}

void LayerRunner::run(int64_t layer, const model::LayerWeights& weights, ops::RopeLayout layout,
                      model::LayerObserver* observer) {
  const int64_t tokens = chunk_.x.size(0);
  const ops::SequenceSpan sequence{0, tokens, pages_};
  const std::span<const int32_t> positions(positions_.data(), static_cast<size_t>(tokens));
  model::ModelConfig config = config_;
  config.rope.layout = layout;
  const auto index = static_cast<size_t>(layer);
  layer_forward(ctx_, config, index, weights, {{}, positions, {&sequence, 1}}, cache_.layer(index),
                chunk_, {}, observer);
}

}  // namespace hachi::quantize
