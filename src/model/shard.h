// A rank's part of a model that several ranks share (tensor parallelism, arXiv 1909.08053): of each
// layer whole key/value heads with their query heads, and as many columns of the feed-forward.
// Query, key, value, gate and up are divided by rows, what reads their results by columns: then the
// sums over ranks of two products a layer are all that ranks tell each other. Norms and embedding
// are each rank's own, and the head if it is the embedding; else it is divided by rows.
#pragma once

#include "core/result.h"
#include "model/config.h"
#include "model/weights.h"

namespace hachi::model {

struct Shard {
  int rank = 0;
  int size = 1;
};

// The config of each of `size` ranks. Fails with kInvalidArgument, with the numbers, if the heads
// or the feed-forward cannot be divided so.
Result<ModelConfig> shard_config(const ModelConfig& whole, int size);

// Whether each of `size` ranks has a part of the head, [V / size, C].
bool divides_head(const ModelConfig& config, int size);

// Leaves the rank's part of weights that have the shapes of `whole`: rows are views, columns are
// copied. Fails with kUnsupported, naming the numbers, if a border would fall into a block of
// weights that share a scale.
Result<void> shard_weights(Weights& weights, const ModelConfig& whole, Shard shard);

}  // namespace hachi::model
