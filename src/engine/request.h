// What a user of the engine asks for, and what comes back.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/sampler.h"

namespace hachi::engine {

using Clock = std::chrono::steady_clock;

inline constexpr int kMaxTopLogprobs = 20;

enum class Finish {
  kStop,       // an end-of-text token, or the reader asked to stop
  kLength,     // max_tokens, or the context is full
  kCancelled,  // the reader went away
  kDeadline,   // it was not done in time
};

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // natural logarithm of its probability, before temperature and penalties
};

// One token of an answer, or of a prompt that is scored.
struct TokenEvent {
  int32_t token = 0;
  float logprob = 0;  // only if asked for
  int num_top = 0;
  TokenLogprob top[kMaxTopLogprobs];  // the most likely, best first
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, that the cache held already
  int64_t generated_tokens = 0;
};

struct Request {
  std::vector<int32_t> prompt;  // at least one token
  SamplingParams sampling;
  int64_t max_tokens = -1;         // -1: until the context is full; 0: only run the prompt
  std::vector<int32_t> stop_ids;   // each ends the answer and is not part of it
  int top_logprobs = -1;           // 0 to kMaxTopLogprobs: logprobs are wanted, with so many others
  bool score_prompt = false;       // the prompt's tokens come as events too, from the second on
  int priority = 0;                // higher goes first
  uint64_t user = 0;               // who share the machine fairly: the users, not their requests
  uint64_t salt = 0;               // requests of other salts do not share cached prefixes
  std::optional<Clock::time_point> deadline;
};

}  // namespace hachi::engine
