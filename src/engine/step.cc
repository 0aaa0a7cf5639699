// One turn of the engine's loop: schedule -> forward -> sample -> hand out.
#include <algorithm>
#include <atomic>
#include <numeric>

#include "core/check.h"
#include "engine/engine.h"
#include "engine/logprobs.h"
#include "engine/speculation.h"

namespace hachi::engine {
namespace {

int64_t prompt_size(const Sequence& sequence) {
  return static_cast<int64_t>(sequence.request.prompt.size());
}

// Stop ids, while the answer with so many more tokens is too short to end.
std::span<const int32_t> banned_after(const Sequence& sequence, int64_t more_tokens) {
  if (sequence.usage.generated_tokens + more_tokens >= sequence.request.min_tokens) return {};
  return sequence.request.stop_ids;
}

}  // namespace

// Whether there was anything to do.
bool Engine::step() {
  slices_ = scheduler_.plan();
  host_pages_.run(*model_);
  if (slices_.empty()) {
    if (all_wait_for_readers()) counts_.last_step = Clock::now();
    publish();
    return false;
  }
  batch_.fill(slices_);
  model_->forward(batch_.view());
  read_prompts();
  extend();
  for (const Slice& slice : slices_) scheduler_.finish(slice);
  ++counts_.steps;
  counts_.last_step = Clock::now();
  // The slices are valid until the first sequence is removed.
  ended_.clear();
  for (const Slice& slice : slices_) {
    if (slice.sequence->finish) ended_.push_back(slice.sequence);
  }
  for (Sequence* sequence : ended_) end(*sequence, *sequence->finish);
  publish();
  if (on_news_) on_news_();
  return true;
}

bool Engine::all_wait_for_readers() const {
  const auto waits = [](const auto& one) { return one->waits_for_reader(); };
  return std::all_of(scheduler_.running().begin(), scheduler_.running().end(), waits) &&
         std::all_of(scheduler_.waiting().begin(), scheduler_.waiting().end(), waits);
}

// What is asked of each token of a prompt, and the end of requests that want no answer.
void Engine::read_prompts() {
  for (size_t i = 0; i < slices_.size(); ++i) {
    Sequence& sequence = *slices_[i].sequence;
    if (sequence.num_computed >= prompt_size(sequence)) continue;
    counts_.prompt_tokens += slices_[i].count;
    const int64_t end = sequence.num_computed + slices_[i].count;
    if (sequence.request.score_prompt) score_prompt(slices_[i], batch_.first_row(i));
    if (sequence.request.pooling != Pooling::kNone) pool_prompt(slices_[i], batch_.first_row(i));
    if (sequence.request.max_tokens == 0 && end >= prompt_size(sequence)) {
      sequence.finish = Finish::kLength;
    }
  }
}

// Token p is scored by the logits after p - 1.
void Engine::score_prompt(const Slice& slice, int64_t first_row) {
  Sequence& sequence = *slice.sequence;
  const int64_t end = std::min(sequence.num_computed + slice.count, prompt_size(sequence) - 1);
  int64_t at = std::max(sequence.num_computed, sequence.num_scored);
  while (at < end) {
    const int64_t count = std::min(end - at, model_->max_rows());
    rows_.resize(static_cast<size_t>(count));
    std::iota(rows_.begin(), rows_.end(), first_row + at - sequence.num_computed);
    const ConstTensor logits = model_->logits(rows_);
    model_->pool().parallel_for(count, 1, [&](int64_t i, int64_t last) {
      for (; i < last; ++i) {
        events_[static_cast<size_t>(i)] =
            score_event({logits.row<float>(i), static_cast<size_t>(vocab_size())},
                        sequence.tokens[static_cast<size_t>(at + i + 1)],
                        std::max(sequence.request.top_logprobs, 0));
      }
    });
    for (int64_t i = 0; i < count; ++i) sequence.stream->put(events_[static_cast<size_t>(i)]);
    at += count;
  }
  sequence.num_scored = std::max(sequence.num_scored, end);
}

void Engine::pool_prompt(const Slice& slice, int64_t first_row) {
  Sequence& sequence = *slice.sequence;
  const int64_t end = std::min(sequence.num_computed + slice.count, prompt_size(sequence));
  const bool is_mean = sequence.request.pooling == Pooling::kMean;
  const double weight = is_mean ? 1.0 / static_cast<double>(prompt_size(sequence)) : 1.0;
  int64_t at = std::max(sequence.num_computed, sequence.num_scored);
  if (!is_mean) at = std::max(at, prompt_size(sequence) - 1);
  while (at < end) {
    const int64_t count = std::min(end - at, model_->max_rows());
    rows_.resize(static_cast<size_t>(count));
    std::iota(rows_.begin(), rows_.end(), first_row + at - sequence.num_computed);
    const ConstTensor hidden = model_->hidden(rows_);
    for (int64_t i = 0; i < count; ++i) {
      const float* row = hidden.row<float>(i);
      for (double& sum : sequence.pooled) sum += weight * static_cast<double>(*row++);
    }
    at += count;
  }
  sequence.num_scored = std::max(sequence.num_scored, end);
}

// Draws the next tokens of all sequences whose known tokens have run, as many rows of logits at a
// time as the model gives.
void Engine::extend() {
  rows_.clear();
  endings_.clear();
  for (size_t i = 0; i < slices_.size(); ++i) {
    Sequence& sequence = *slices_[i].sequence;
    const int64_t skipped = sequence.num_known - 1 - sequence.num_computed;
    const int64_t count = slices_[i].count - skipped;
    if (count <= 0 || sequence.request.max_tokens == 0) continue;
    if (static_cast<int64_t>(rows_.size()) + count > model_->max_rows()) {
      extend_group(rows_, endings_);
      rows_.clear();
      endings_.clear();
    }
    endings_.push_back({&sequence, static_cast<int64_t>(rows_.size()), count, std::nullopt});
    counts_.guessed_tokens += count - 1;
    for (int64_t row = 0; row < count; ++row) {
      rows_.push_back(batch_.first_row(i) + skipped + row);
    }
  }
  extend_group(rows_, endings_);
}

void Engine::extend_group(std::span<const int64_t> rows, std::span<Ending> endings) {
  if (endings.empty()) return;
  const auto count = static_cast<int64_t>(endings.size());
  if (model_->draws()) {
    // On a GPU the step still runs, so that masks cost no time beside it.
    model_->pool().parallel_for(count, 1, [&](int64_t i, int64_t last) {
      for (; i < last; ++i) ask(endings[static_cast<size_t>(i)]);
    });
  }
  const StepModel::Drawn drawn = model_->draw(rows, std::span(asked_).first(rows.size()));
  std::atomic<size_t> next_scratch{0};
  model_->pool().parallel_for(count, 1, [&](int64_t i, int64_t last) {
    SamplerScratch& scratch = scratch_[next_scratch.fetch_add(1, std::memory_order_relaxed)];
    for (; i < last; ++i) extend_one(endings[static_cast<size_t>(i)], drawn, scratch);
  });
  for (const Ending& ending : endings) {
    counts_.generated_tokens += ending.sequence->num_new;
    counts_.accepted_tokens += std::max<int64_t>(ending.sequence->num_new - 1, 0);
  }
}

// Whose logits are wanted on the host, and a guess whose tokens change how the next ones are drawn,
// are not for the model to draw.
void Engine::ask(Ending& ending) {
  const Sequence& sequence = *ending.sequence;
  const auto asked = std::span(asked_).subspan(static_cast<size_t>(ending.first_row),
                                               static_cast<size_t>(ending.num_rows));
  std::fill(asked.begin(), asked.end(), std::nullopt);
  if (sequence.request.top_logprobs >= 0) return;
  if (asked.size() > 1 && (sequence.constraint || sequence.sampler.counts())) return;
  ending.next = next_token(sequence.constraint.get(), vocab_size());
  if (ending.next->ends || ending.next->forced) {
    asked[0] = ops::DrawRow();  // whatever it draws
    return;
  }
  for (size_t i = 0; i < asked.size(); ++i) {
    const auto ahead = static_cast<int64_t>(i);
    asked[i] = sequence.sampler.how(static_cast<uint64_t>(sequence.num_known + ahead),
                                    banned_after(sequence, ahead), ending.next->mask);
  }
}

// Each token is drawn as if there were no guess; while the guess agrees, the logits after it are
// those after the token.
void Engine::extend_one(const Ending& ending, const StepModel::Drawn& drawn,
                        SamplerScratch& scratch) {
  Sequence& sequence = *ending.sequence;
  sequence.num_new = 0;
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
    sequence.finish = append(sequence, token, scores);
    if (sequence.finish || !was_guessed) break;
  }
  sequence.tokens.resize(static_cast<size_t>(sequence.num_known));
  if (!sequence.finish) guess(sequence);
}

std::optional<Finish> Engine::append(Sequence& sequence, int32_t token,
                                     std::span<const float> logits) {
  const bool with_logprobs = sequence.request.top_logprobs >= 0;
  TokenEvent event;
  if (with_logprobs) event = score_event(logits, token, sequence.request.top_logprobs);
  event.chosen.token = token;
  if (sequence.request.is_stop(token)) {
    if (with_logprobs) sequence.stream->put(event);
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

void Engine::guess(Sequence& sequence) {
  const int64_t most =
      std::min({options_.guess_tokens, sequence.max_tokens - sequence.num_known - 1,
                sequence.stream->room() - 1});
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

void Engine::publish() {
  counts_.running = static_cast<int64_t>(scheduler_.running().size());
  counts_.waiting = static_cast<int64_t>(scheduler_.waiting().size());
  counts_.num_pages = pages_.num_pages();
  counts_.free_pages = pages_.num_free();
  counts_.cached_pages = scheduler_.prefixes().size();
  // Whatever is shared is shared with the tree.
  counts_.idle_pages = counts_.cached_pages - pages_.num_shared();
  counts_.preemptions = scheduler_.preemptions();
  counts_.evictions = scheduler_.prefixes().evictions();
  counts_.num_host_pages = host_pages_.pool().num_pages();
  counts_.free_host_pages = host_pages_.pool().num_free();
  counts_.cached_host_pages = scheduler_.prefixes().host_size();
  counts_.moved_out = scheduler_.prefixes().moved_out();
  counts_.moved_in = scheduler_.prefixes().moved_in();
  counts_.swap = scheduler_.swap_counts();
  counts_.prefix = scheduler_.prefix_counts();
  stats_.store(counts_);
}

}  // namespace hachi::engine
