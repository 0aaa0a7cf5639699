// Sequence: one request inside the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/constraint.h"
#include "engine/pages.h"
#include "engine/prefix_tree.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/stream.h"

namespace hachi::engine {

// The sizes that a sequence lives within.
struct SequenceLimits {
  int64_t context = 0;  // tokens that it may have
  int64_t page_tokens = 0;
  int64_t hidden_size = 0;
  int64_t stream_events = 0;  // that its reader may leave
  int64_t guess_tokens = 0;   // behind the known ones
};

struct Sequence {
  // Takes all memory that it will ever need. `host` has the pages of the processor's memory.
  Sequence(Request asked, std::unique_ptr<Constraint> under, const SequenceLimits& limits,
           PagePool& pool, PagePool& host, int64_t number);

  Request request;
  int64_t max_tokens;  // of the prompt and the answer
  int64_t arrival;     // requests are numbered
  std::shared_ptr<Stream> stream;
  Sampler sampler;
  // Null: none. It has accepted the tokens of the answer, also while the sequence is put back.
  std::unique_ptr<Constraint> constraint;
  PageList pages;
  // The prompt, the answer so far, and behind them a guess of what follows (speculation.h).
  std::vector<int32_t> tokens;
  int64_t num_known = 0;  // of the tokens, without the guess
  // Tokens whose keys and values are in the pages, for all that runs from now on.
  int64_t num_computed = 0;
  int64_t num_drawing = 0;      // tokens behind all others that are being drawn, by steps that run
  int64_t drawn_row = 0;        // of the last queue_draw(), which draws the first of them
  bool is_drawn_later = false;  // not by the model: nobody can run it before it is known
  int64_t num_remembered = 0;   // pages that the prefix tree has been told of
  int64_t num_scored = 0;       // tokens of the prompt that were scored or pooled
  std::vector<double> pooled;   // [C], sums of hidden states
  int64_t* given = nullptr;     // tokens that its user was given (scheduler.h)
  // While it waits, swapped out: what is computed is kept in pages that the prefix tree has, and
  // behind them in pages of the processor's memory.
  bool is_swapped_out = false;
  PrefixTree::Claim claim;
  PageList saved;
  // Of the model that guesses for it, if there is one: its pages, and what it has read.
  std::optional<PageList> draft_pages;
  int64_t num_drafted = 0;
  int64_t num_new = 0;           // tokens of the last step
  bool was_admitted = false;     // it ran before, even if it waits now
  std::optional<Finish> finish;  // it ended in this step
  Usage usage;

  // Tokens that are still to run; the logits of the last known one and of a guess make new ones.
  int64_t num_left() const {
    return static_cast<int64_t>(tokens.size()) + num_drawing - num_computed;
  }
  // The prompt has run: what is left are new tokens.
  bool is_decoding() const { return num_known + num_drawing - num_computed == 1; }
  // A token of it is drawn which must be known first, or may be its last one.
  bool waits_for_token() const {
    return num_drawing > 0 && (is_drawn_later || num_known + num_drawing >= max_tokens);
  }
  // Its next tokens would make more events than its reader has left room for.
  bool waits_for_reader() const {
    const int64_t fewest = is_decoding() ? num_left() : request.score_prompt ? 2 : 1;
    return stream->room() < fewest + num_drawing;
  }
  // Its prompt may be taken from the cache: nothing is asked of each of its tokens.
  bool can_share() const { return !request.score_prompt && request.pooling == Pooling::kNone; }
};

}  // namespace hachi::engine
