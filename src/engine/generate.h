// generate: the loop from a prompt to an answer on one session.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/result.h"
#include "engine/constraint.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace hachi::engine {

struct GenerateOptions {
  SamplingParams sampling;
  int64_t max_tokens = -1;            // -1: until the context is full
  std::span<const int32_t> stop_ids;  // each ends the answer and is not part of it
  Constraint* constraint = nullptr;   // the answer is drawn under it; null: none
};

struct GenerateStats {
  Finish finish = Finish::kStop;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, that the cache held already
  int64_t generated_tokens = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;  // from the first token to the last
};

// Called with each token of the answer as it comes; false ends the answer.
using OnToken = std::function<bool(int32_t token)>;

// Cancelling is not an error: the stats say so, and what the cache holds stays.
Result<GenerateStats> generate(Session& session, std::span<const int32_t> prompt,
                               const GenerateOptions& options, const OnToken& on_token,
                               const Progress& progress = {}, const ShouldStop& should_stop = {});

}  // namespace hachi::engine
