// Guessing ahead by a smaller model of the same vocabulary. It draws with the random numbers that
// the large one will draw with, so that the two agree as often as their distributions overlap; what
// is said is what the large one draws under its own distribution, whatever was guessed.
//
// Source: Leviathan et al. 2023, arXiv 2211.17192, with a shared random number in place of a
// rejection: a guess is kept if it is the very token that would have been drawn.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/pages.h"
#include "engine/sampler.h"
#include "engine/sequence.h"
#include "engine/step_model.h"

namespace hachi::engine {

class Draft {
 public:
  // Of the model's vocabulary; `model` outlives it. For up to `most_sequences` at a time.
  Draft(StepModel& model, int64_t most_sequences);

  struct Asked {
    Sequence* sequence;
    int64_t most;  // tokens, at least one; the sequence has room for them
  };
  // Appends a guess to each of these sequences, which have none. None to those whose text is longer
  // than it has read yet, or has pages for: what it reads at once is one step of its model.
  void guess(std::span<const Asked> asked);

  // For a sequence of up to `max_tokens`. Any thread; it goes before the draft does.
  PageList make_pages(int64_t max_tokens);

 private:
  // A sequence whose tokens up to the last one are read next.
  struct Reading {
    Sequence* sequence;
    int64_t most;   // tokens that are still to be guessed
    int64_t count;  // tokens of it in this step
  };

  int64_t pages_for(int64_t tokens) const;
  void take(const Asked& asked);
  void read();
  void append();

  StepModel* model_;
  PagePool pages_;
  Batch batch_;
  int64_t budget_ = 0;  // tokens that this step may still have
  std::vector<Reading> reading_;
  std::vector<int64_t> rows_;
  std::vector<std::optional<ops::DrawRow>> how_;
  SamplerScratch scratch_;
};

}  // namespace hachi::engine
