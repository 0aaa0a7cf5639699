// What requests ask of each token of a prompt: scores, pooled hidden states, or that it has run.
#include <algorithm>
#include <numeric>

#include "engine/engine.h"

namespace hachi::engine {
namespace {

int64_t prompt_size(const Sequence& sequence) {
  return static_cast<int64_t>(sequence.request.prompt.size());
}

}  // namespace

// What is asked of each token of a prompt, and the end of requests that want no answer.
void Engine::read_prompts(const Flight& flight) {
  for (size_t i = 0; i < flight.slices.size(); ++i) {
    const Slice& slice = flight.slices[i];
    if (slice.sequence == nullptr) continue;
    Sequence& sequence = *slice.sequence;
    if (slice.first >= prompt_size(sequence)) continue;
    counts_.prompt_tokens += slice.count;
    const int64_t end = slice.first + slice.count;
    if (sequence.request.score_prompt) score_prompt(slice, flight.batch.first_row(i));
    if (sequence.request.pooling != Pooling::kNone) pool_prompt(slice, flight.batch.first_row(i));
    if (sequence.request.max_tokens == 0 && end >= prompt_size(sequence)) {
      sequence.finish = Finish::kLength;
    }
  }
}

// Token p is scored by the logits after p - 1.
void Engine::score_prompt(const Slice& slice, int64_t first_row) {
  Sequence& sequence = *slice.sequence;
  const int64_t end = std::min(slice.first + slice.count, prompt_size(sequence) - 1);
  int64_t at = std::max(slice.first, sequence.num_scored);
  while (at < end) {
    const int64_t count = std::min(end - at, model_->max_rows());
    rows_.resize(static_cast<size_t>(count));
    std::iota(rows_.begin(), rows_.end(), first_row + at - slice.first);
    const auto tokens = std::span<const int32_t>(sequence.tokens)
                            .subspan(static_cast<size_t>(at + 1), static_cast<size_t>(count));
    const int num_top = std::max(sequence.request.top_logprobs, 0);
    for (const TokenEvent& event : model_->score(rows_, tokens, num_top)) {
      sequence.stream->put(event);
    }
    at += count;
  }
  sequence.num_scored = std::max(sequence.num_scored, end);
}

void Engine::pool_prompt(const Slice& slice, int64_t first_row) {
  Sequence& sequence = *slice.sequence;
  const int64_t end = std::min(slice.first + slice.count, prompt_size(sequence));
  const bool is_mean = sequence.request.pooling == Pooling::kMean;
  const double weight = is_mean ? 1.0 / static_cast<double>(prompt_size(sequence)) : 1.0;
  int64_t at = std::max(slice.first, sequence.num_scored);
  if (!is_mean) at = std::max(at, prompt_size(sequence) - 1);
  while (at < end) {
    const int64_t count = std::min(end - at, model_->max_rows());
    rows_.resize(static_cast<size_t>(count));
    std::iota(rows_.begin(), rows_.end(), first_row + at - slice.first);
    const ConstTensor hidden = model_->hidden(rows_);
    for (int64_t i = 0; i < count; ++i) {
      const float* row = hidden.row<float>(i);
      for (double& sum : sequence.pooled) sum += weight * static_cast<double>(*row++);
    }
    at += count;
  }
  sequence.num_scored = std::max(sequence.num_scored, end);
}

}  // namespace hachi::engine
