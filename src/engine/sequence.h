// Sequence: one request inside the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/pages.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/stream.h"

namespace hachi::engine {

struct Sequence {
  // Takes all memory that it will ever need; `context` is the most tokens that it may have.
  Sequence(Request asked, std::shared_ptr<Stream> out, PagePool& pool, int64_t page_tokens,
           int64_t context, int64_t number);

  Request request;
  std::shared_ptr<Stream> stream;
  int64_t max_tokens;  // of the prompt and the answer
  int64_t arrival;     // requests are numbered
  Sampler sampler;
  PageList pages;
  // The prompt, the answer so far, and behind them a guess of what follows (speculation.h). Never
  // grows beyond what is reserved.
  std::vector<int32_t> tokens;
  int64_t num_known = 0;     // of the tokens, without the guess
  int64_t num_computed = 0;  // tokens whose keys and values are in the pages
  int64_t num_remembered = 0;  // pages that the prefix tree has been told of
  int64_t num_scored = 0;      // tokens of the prompt that have been scored
  Usage usage;

  // Tokens that are still to run; the logits of the last known one and of a guess make new ones.
  int64_t num_left() const { return static_cast<int64_t>(tokens.size()) - num_computed; }
  // The prompt has run: what is left are new tokens.
  bool is_decoding() const { return num_known - num_computed == 1; }
};

}  // namespace hachi::engine
