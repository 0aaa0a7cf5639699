// GPTQ over a whole model, layer by layer: each layer's inputs are those that the layers before it
// give as they have become, so that errors are made up for and not added up. Within a layer all
// matrices are seen with the inputs that the layer has before it is changed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/thread_pool.h"
#include "quantize/hessian.h"
#include "quantize/layer_runner.h"
#include "quantize/plan.h"
#include "quantize/progress.h"

namespace hachi::quantize {

// Chosen on texts of another kind than the one watched; docs/quantizing.md has the figures.
inline constexpr double kDefaultDamping = 0.5;

struct GptqOptions {
  double damping = kDefaultDamping;  // as Hessian::factor() takes it
  ShouldStop should_stop;
};

// Holds the residual stream of all chunks, the Hessians of one layer and that layer's blocks.
class Gptq {
 public:
  // `source`, `plan` (of it) and `pool` outlive the object. `chunks` as calibration_chunks() makes
  // them.
  static Result<std::unique_ptr<Gptq>> create(const Source& source, const Plan& plan,
                                              const std::vector<std::vector<int32_t>>& chunks,
                                              ThreadPool& pool, GptqOptions options);

  // The blocks of a tensor of the plan, or null if it is no matrix of a layer. Layers must be asked
  // for in their order; the result lives until the next layer is. Types without a grid (the IQ2 and
  // IQ3 types) are encoded row by row, by the importance that the layer's inputs show.
  Result<const std::vector<std::byte>*> blocks_of(const PlannedTensor& planned);

 private:
  using Blocks = std::map<std::string, std::vector<std::byte>, std::less<>>;
  using Planned = std::map<std::string, const PlannedTensor*, std::less<>>;

  Gptq(ThreadPool& pool, LayerRunner runner, GptqOptions options);

  Result<void> quantize_layer(int64_t layer);
  Result<void> quantize_input(model::LayerInput input, int64_t layer, Hessian& hessian);
  Result<void> quantize_matrix(const PlannedTensor& planned, const Hessian& hessian);
  // Takes every chunk through the layer; keeps what comes out if `keep`.
  Result<void> run_layer(int64_t layer, const model::LayerWeights& weights, ops::RopeLayout layout,
                         model::LayerObserver* observer, bool keep);
  model::LayerWeights changed_weights(int64_t layer) const;

  ThreadPool& pool_;
  LayerRunner runner_;
  GptqOptions options_;
  Planned planned_;  // by name
  Buffer streams_memory_;
  std::vector<Tensor> streams_;  // of each chunk, [tokens, width], as the layer at work gets it
  int64_t layer_ = -1;           // whose blocks there are
  Blocks blocks_;
};

}  // namespace hachi::quantize
