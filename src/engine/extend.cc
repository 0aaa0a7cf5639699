// The next tokens of sequences whose known tokens have run.
#include <algorithm>
#include <atomic>

#include "core/check.h"
#include "engine/engine.h"
#include "engine/speculation.h"

namespace hachi::engine {
namespace {

// Stop ids, while the answer with so many more tokens is too short to end.
std::span<const int32_t> banned_after(const Sequence& sequence, int64_t more_tokens) {
  if (sequence.usage.generated_tokens + more_tokens >= sequence.request.min_tokens) return {};
  return sequence.request.stop_ids;
}

}  // namespace

// From `first_slice` on, as many as the model gives rows of logits at a time; returns the slice at
// which to go on.
size_t Engine::take_endings(Flight& flight, size_t first_slice) {
  flight.rows.clear();
  flight.endings.clear();
  for (size_t i = first_slice; i < flight.slices.size(); ++i) {
    if (flight.slices[i].sequence == nullptr) continue;
    Sequence& sequence = *flight.slices[i].sequence;
    const int64_t skipped = sequence.num_known - 1 - flight.slices[i].first;
    const int64_t count = flight.slices[i].count - skipped;
    if (count <= 0 || sequence.request.max_tokens == 0) continue;
    if (static_cast<int64_t>(flight.rows.size()) + count > model_->max_rows()) return i;
    flight.endings.push_back({i, static_cast<int64_t>(flight.rows.size()), count, std::nullopt});
    counts_.guessed_tokens += count - 1;
    for (int64_t row = 0; row < count; ++row) {
      flight.rows.push_back(flight.batch.first_row(i) + skipped + row);
    }
  }
  return flight.slices.size();
}

void Engine::queue_draw(Flight& flight) {
  const auto count = static_cast<int64_t>(flight.endings.size());
  // Where the model draws, the step still runs, so that masks cost no time beside it.
  const auto ask_some = [&](int64_t i, int64_t last) {
    for (; i < last; ++i) ask(flight, flight.endings[static_cast<size_t>(i)]);
  };
  if (model_->draws()) model_->pool().parallel_for(count, 1, ask_some);
  model_->queue_draw(flight.rows, std::span(asked_).first(flight.rows.size()));
}

// A guess whose tokens change how the next ones are drawn is not for the model to draw.
void Engine::ask(Flight& flight, Ending& ending) {
  Sequence& sequence = *flight.slices[ending.slice].sequence;
  const auto asked = std::span(asked_).subspan(static_cast<size_t>(ending.first_row),
                                               static_cast<size_t>(ending.num_rows));
  std::fill(asked.begin(), asked.end(), std::nullopt);
  sequence.drawn_row = ending.first_row;
  sequence.is_drawn_later = true;
  if (asked.size() > 1 && (sequence.constraint || sequence.sampler.counts())) return;
  ending.next = next_token(sequence.constraint.get(), vocab_size());
  if (ending.next->ends || ending.next->forced) {
    asked[0] = ops::DrawRow{.forced = ending.next->forced.value_or(0)};
  } else {
    for (size_t i = 0; i < asked.size(); ++i) {
      const auto ahead = static_cast<int64_t>(i);
      asked[i] = sequence.sampler.how(static_cast<uint64_t>(sequence.num_known + ahead),
                                      banned_after(sequence, ahead), ending.next->mask);
    }
  }
  for (auto& one : asked) {
    if (one) one->top_logprobs = sequence.request.top_logprobs;
  }
  sequence.is_drawn_later = !asked[0];
}

// The one place that waits for the device.
void Engine::extend(Flight& flight) {
  const StepModel::Drawn drawn = model_->drawn();
  std::atomic<size_t> next_scratch{0};
  const auto count = static_cast<int64_t>(flight.endings.size());
  model_->pool().parallel_for(count, 1, [&](int64_t i, int64_t last) {
    SamplerScratch& scratch = scratch_[next_scratch.fetch_add(1, std::memory_order_relaxed)];
    for (; i < last; ++i) {
      extend_one(flight, flight.endings[static_cast<size_t>(i)], drawn, scratch);
    }
  });
  for (const Ending& ending : flight.endings) {
    const Sequence* sequence = flight.slices[ending.slice].sequence;
    if (sequence == nullptr) continue;
    counts_.generated_tokens += sequence->num_new;
    counts_.accepted_tokens += std::max<int64_t>(sequence->num_new - 1, 0);
  }
}

// Each token is drawn as if there were no guess; while the guess agrees, the logits after it are
// those after the token.
void Engine::extend_one(const Flight& flight, const Ending& ending, const StepModel::Drawn& drawn,
                        SamplerScratch& scratch) {
  if (flight.slices[ending.slice].sequence == nullptr) return;
  Sequence& sequence = *flight.slices[ending.slice].sequence;
  sequence.num_new = 0;
  --sequence.num_drawing;
  for (int64_t row = ending.first_row; row < ending.first_row + ending.num_rows; ++row) {
    const bool is_drawn = !drawn.tokens.empty() && asked_[static_cast<size_t>(row)];
    std::span<const float> scores;
    if (!is_drawn) scores = {drawn.logits.row<float>(row), static_cast<size_t>(vocab_size())};
    const NextToken next = row == ending.first_row && ending.next
                               ? *ending.next
                               : next_token(sequence.constraint.get(), vocab_size());
    if (next.ends) {
      sequence.finish = Finish::kStop;
      break;
    }
    const int32_t token =
        next.forced ? *next.forced
        : is_drawn  ? drawn.tokens[static_cast<size_t>(row)]
                    : sequence.sampler.sample(scores, static_cast<uint64_t>(sequence.num_known),
                                              scratch, banned_after(sequence, 0), next.mask);
    const bool was_guessed = sequence.num_known < static_cast<int64_t>(sequence.tokens.size()) &&
                             sequence.tokens[static_cast<size_t>(sequence.num_known)] == token;
    TokenEvent event;
    if (sequence.request.top_logprobs >= 0) {
      event = is_drawn ? drawn.logprobs[static_cast<size_t>(row)]
                       : ops::logprobs_of(scores, token, sequence.request.top_logprobs);
    }
    event.chosen.token = token;
    sequence.finish = append(sequence, event);
    if (sequence.finish || !was_guessed) break;
  }
  sequence.tokens.resize(static_cast<size_t>(sequence.num_known));
  // What was run of a guess that did not come true does not count.
  sequence.num_computed =
      std::min(sequence.num_computed, sequence.num_known + sequence.num_drawing - 1);
  if (sequence.finish || (draft_ && !sequence.constraint)) return;
  guess(sequence);
}

std::optional<Finish> Engine::append(Sequence& sequence, const TokenEvent& event) {
  const int32_t token = event.chosen.token;
  if (sequence.request.is_stop(token)) {
    if (sequence.request.top_logprobs >= 0) sequence.stream->put(event);
    return Finish::kStop;
  }
  if (sequence.num_known == static_cast<int64_t>(sequence.tokens.size())) {
    sequence.tokens.push_back(token);
  } else {
    sequence.tokens[static_cast<size_t>(sequence.num_known)] = token;
  }
  ++sequence.num_known;
  ++sequence.num_new;
  ++sequence.usage.generated_tokens;
  sequence.sampler.observe(token);
  sequence.stream->put(event);
  if (sequence.constraint) {
    sequence.constraint->accept(token);
    if (sequence.constraint->finished()) return Finish::kStop;
  }
  if (sequence.num_known == sequence.max_tokens) return Finish::kLength;
  return std::nullopt;
}

int64_t Engine::most_guessed(const Sequence& sequence) const {
  return std::min({options_.guess_tokens, sequence.max_tokens - sequence.num_known - 1,
                   sequence.stream->room() - 1});
}

// A draft knows nothing of constraints.
void Engine::ask_draft() {
  const auto decodes = [](const auto& one) { return one->is_decoding(); };
  const auto count =
      std::count_if(scheduler_.running().begin(), scheduler_.running().end(), decodes);
  if (count * (options_.guess_tokens + 1) > kMostGuessedRows) return;
  drafted_.clear();
  for (const auto& one : scheduler_.running()) {
    const bool has_guess = std::ssize(one->tokens) > one->num_known;
    if (!decodes(one) || one->constraint || has_guess) continue;
    const int64_t most = most_guessed(*one);
    if (most > 0) drafted_.push_back({one.get(), most});
  }
  if (!drafted_.empty()) draft_->guess(drafted_);
}

void Engine::guess(Sequence& sequence) {
  const int64_t most = most_guessed(sequence);
  if (most <= 0) return;
  // There is room for all of these.
  if (sequence.constraint) {
    sequence.tokens.resize(static_cast<size_t>(sequence.num_known + most));
    const int64_t run =
        sequence.constraint->forced_run(std::span(sequence.tokens).last(static_cast<size_t>(most)));
    const auto begin = sequence.tokens.begin() + sequence.num_known;
    const auto unknown = std::find_if(
        begin, begin + run, [this](int32_t token) { return token < 0 || token >= vocab_size(); });
    sequence.tokens.erase(unknown, sequence.tokens.end());
    if (run > 0) return;
  }
  const auto guessed = guess_from(sequence.tokens, most);
  // The guess is a part of the text that it is appended to.
  for (const int32_t token : guessed) sequence.tokens.push_back(token);
}

}  // namespace hachi::engine
