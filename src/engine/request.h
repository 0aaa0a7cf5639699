// What a user of the engine asks for, and what comes back.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "kernels/logprobs.h"

namespace hachi::engine {

using Clock = std::chrono::steady_clock;

using ops::kMaxTopLogprobs;
using ops::TokenLogprob;

// One token of an answer, or of a prompt that is scored. Its logprobs are there if asked for.
using TokenEvent = ops::TokenLogprobs;

enum class Finish {
  kStop,       // an end-of-text token, or the reader asked to stop
  kLength,     // max_tokens, or the context is full
  kCancelled,  // the reader went away, or the engine closes
  kDeadline,   // it was not done in time
};

// What to make of the hidden states of a prompt (embeddings).
enum class Pooling {
  kNone,
  kMean,  // their mean
  kLast,  // that of the last token
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, that the cache held already
  int64_t generated_tokens = 0;
};

struct Request {
  std::vector<int32_t> prompt;  // at least one token
  SamplingParams sampling;
  int64_t max_tokens = -1;  // of the answer; -1: until the context is full; 0: none
  int64_t min_tokens = 0;   // of the answer, before which no stop id is drawn
  // Each ends the answer and is not part of it; where logprobs are wanted it is the last event.
  std::vector<int32_t> stop_ids;
  int top_logprobs = -1;      // 0 to kMaxTopLogprobs: logprobs are wanted, with so many others
  bool score_prompt = false;  // the prompt's tokens come as events too, from the second on
  Pooling pooling = Pooling::kNone;  // needs max_tokens = 0
  int64_t priority = 0;              // higher goes first
  uint64_t user = 0;                 // users share the machine fairly, not their requests
  uint64_t salt = 0;                 // requests of different salts share no cached prefixes
  std::optional<Clock::time_point> deadline;

  bool is_stop(int32_t token) const {
    return std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end();
  }
};

}  // namespace hachi::engine
