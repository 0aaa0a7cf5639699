#include "engine/draft.h"

#include <algorithm>

#include "core/check.h"

namespace hachi::engine {

Draft::Draft(StepModel& model, int64_t most_sequences)
    : model_(&model),
      pages_(model.num_pages()),
      batch_(model.max_tokens(), most_sequences),
      scratch_(model.vocab_size()) {
  CHECK(most_sequences <= model.max_rows());
  const auto most = static_cast<size_t>(most_sequences);
  reading_.reserve(most);
  rows_.reserve(most);
  how_.reserve(most);
}

int64_t Draft::pages_for(int64_t tokens) const {
  return (tokens + model_->page_tokens() - 1) / model_->page_tokens();
}

PageList Draft::make_pages(int64_t max_tokens) { return {pages_, pages_for(max_tokens)}; }

void Draft::guess(std::span<const Asked> asked) {
  reading_.clear();
  budget_ = model_->max_tokens();
  for (const Asked& one : asked) take(one);
  while (!reading_.empty()) {
    read();
    append();
    std::erase_if(reading_, [](const Reading& one) { return one.most == 0; });
  }
}

void Draft::take(const Asked& asked) {
  Sequence& sequence = *asked.sequence;
  // The last known token is the first that may differ from what was guessed.
  sequence.num_drafted = std::min(sequence.num_drafted, sequence.num_known - 1);
  const int64_t count = std::min(sequence.num_known - sequence.num_drafted, budget_);
  const int64_t most = std::min(asked.most, model_->context_length() - sequence.num_known);
  if (count <= 0 || most <= 0 || std::ssize(reading_) == model_->max_rows()) return;
  if (!sequence.draft_pages->resize(pages_for(sequence.num_known + most))) return;
  reading_.push_back({&sequence, most, count});
  budget_ -= count;
}

// Runs what is to be read, and asks what follows where all of a text has been.
void Draft::read() {
  batch_.clear();
  rows_.clear();
  how_.clear();
  for (Reading& one : reading_) {
    Sequence& sequence = *one.sequence;
    const std::span<const int32_t> tokens(sequence.tokens);
    batch_.add(
        tokens.subspan(static_cast<size_t>(sequence.num_drafted), static_cast<size_t>(one.count)),
        sequence.num_drafted, sequence.draft_pages->pages());
    sequence.num_drafted += one.count;
    if (sequence.num_drafted < std::ssize(sequence.tokens)) {
      one.most = 0;  // there is more of it than a step takes
      continue;
    }
    rows_.push_back(batch_.num_tokens() - 1);
    how_.push_back(sequence.sampler.how(static_cast<uint64_t>(sequence.num_drafted)));
  }
  model_->forward(batch_.view());
  model_->queue_draw(rows_, how_);
}

void Draft::append() {
  const StepModel::Drawn drawn = model_->drawn();
  size_t row = 0;
  for (Reading& one : reading_) {
    if (one.most == 0) continue;
    Sequence& sequence = *one.sequence;
    const bool is_drawn = !drawn.tokens.empty() && how_[row];
    const int32_t token =
        is_drawn ? drawn.tokens[row]
                 : sequence.sampler.sample({drawn.logits.row<float>(static_cast<int64_t>(row)),
                                            static_cast<size_t>(model_->vocab_size())},
                                           static_cast<uint64_t>(sequence.num_drafted), scratch_);
    ++row;
    sequence.tokens.push_back(token);
    one.count = 1;
    --one.most;
  }
}

}  // namespace hachi::engine
