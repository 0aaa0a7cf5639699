// How far a model has moved from another one: their next-token distributions over a text, their
// size, their speed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"
#include "engine/session.h"
#include "formats/checkpoint.h"
#include "quantize/progress.h"

namespace hachi::quantize {

// Of two distributions at each place of a text. KL divergence: sum over tokens of p log(p/q), p of
// the source, in nats.
struct Divergence {
  int64_t tokens = 0;
  double mean = 0;
  double mean_error = 0;  // the standard error of the mean
  double median = 0;
  double percentile_99 = 0;
  double max = 0;
  double same_top = 0;  // the share of places where both find the same token most likely
};

struct Perplexity {
  double value = 0;
  double error = 0;  // the standard error that the text's length leaves
};

struct ModelFigures {
  uint64_t bytes = 0;
  double bits_per_weight = 0;
  Perplexity perplexity;
  double prefill_per_second = 0;  // tokens
  double decode_per_second = 0;
};

struct Comparison {
  int64_t chunk_size = 0;
  Divergence divergence;
  // Of the quantized model's perplexity to the source's, and how sure that is: much surer than the
  // perplexities, as both are of the same text.
  Perplexity ratio;
  ModelFigures source;
  ModelFigures quantized;
};

// `chunks`: sequences of their own, of which each token after the first is scored. Both models have
// the same vocabulary. Takes the logits of both side by side, 16 rows at a time: no file and no
// memory of all of them. Fails with kInvalidArgument if the sessions do not fit each other.
Result<Comparison> compare_models(engine::Session& source, engine::Session& quantized,
                                  const std::vector<std::vector<int32_t>>& chunks,
                                  const Progress& progress, const ShouldStop& should_stop);

// Tokens a second of one session: `prompt` at once, then `num_decoded` tokens one by one.
struct Speed {
  double prefill_per_second = 0;
  double decode_per_second = 0;
};
Result<Speed> measure_speed(engine::Session& session, std::span<const int32_t> prompt,
                            int64_t num_decoded, const ShouldStop& should_stop);

// Bits that a weight takes in the tensors of a checkpoint.
double bits_per_weight(const formats::Checkpoint& checkpoint);

}  // namespace hachi::quantize
