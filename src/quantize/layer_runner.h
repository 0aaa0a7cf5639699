// Runs a text through a model layer by layer, so that what each layer's matrices are multiplied
// with can be seen, and a layer can be changed before the next one is reached.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "core/thread_pool.h"
#include "formats/checkpoint.h"
#include "model/kv_cache.h"
#include "model/layer.h"
#include "model/rotations.h"
#include "model/weights.h"

namespace hachi::quantize {

inline constexpr std::array kLayerInputs = {model::LayerInput::kAttention, model::LayerInput::kOut,
                                            model::LayerInput::kFfn, model::LayerInput::kDown};

// The name in GGUF of each matrix that multiplies `which` in layer `layer`. `fused`: as in
// ModelConfig.
std::vector<std::string> matrices_of(model::LayerInput which, int64_t layer, bool fused);

// Chunks are sequences of their own, each from position 0. Move-only; the pool outlives it.
class LayerRunner {
 public:
  // `chunk_size`: tokens of a chunk, at most the model's context.
  static Result<LayerRunner> create(std::shared_ptr<const formats::Checkpoint> checkpoint,
                                    int64_t chunk_size, ThreadPool& pool);

  const model::ModelConfig& config() const { return config_; }
  const model::LayerWeights& weights(int64_t layer) const {
    return weights_.layers[static_cast<size_t>(layer)];
  }
  ops::Context& context() { return ctx_; }

  // The embeddings of a chunk's tokens, f32 [chunk, width], into the room that run() works in.
  void embed(std::span<const int32_t> tokens);

  // The residual stream of the chunk at work, f32 [chunk, width].
  Tensor stream() const { return chunk_.x; }

  // Takes the stream of the chunk at work (embed(), or what a caller put into stream()) through one
  // layer with these weights, whose queries and keys lie in `layout`.
  void run(int64_t layer, const model::LayerWeights& weights, ops::RopeLayout layout,
           model::LayerObserver* observer);
  void run(int64_t layer, model::LayerObserver* observer) {
    run(layer, weights(layer), config_.rope.layout, observer);
  }

  // Sets how many tokens the chunk at work has; stream() then has that many rows.
  void start_chunk(int64_t tokens);

 private:
  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  model::ModelConfig config_;
  model::Weights weights_;
  model::Rotations rotations_;
  ops::Context ctx_;
  model::KvCache cache_;
  std::vector<int32_t> pages_;
  std::vector<int32_t> positions_;
  Buffer memory_;
  model::Activations all_;    // room for a whole chunk
  model::Activations chunk_;  // of the chunk at work
};

}  // namespace hachi::quantize
