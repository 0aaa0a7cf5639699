#include "engine/step_model.h"

namespace hachi::engine {

std::span<const ops::TokenLogprobs> StepModel::score(std::span<const int64_t> rows,
                                                     std::span<const int32_t> tokens, int num_top) {
  CHECK_EQ(rows.size(), tokens.size());
  if (draws()) {
    scored_rows_.resize(static_cast<size_t>(max_rows()));
    for (size_t i = 0; i < rows.size(); ++i) {
      scored_rows_[i] = ops::DrawRow{.top_logprobs = num_top, .forced = tokens[i]};
    }
    return draw(rows, std::span(scored_rows_).first(rows.size())).logprobs;
  }
  scores_.resize(static_cast<size_t>(max_rows()));
  const ConstTensor all = logits(rows);
  const auto vocab = static_cast<size_t>(vocab_size());
  pool().parallel_for(static_cast<int64_t>(rows.size()), 1, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      scores_[at] = ops::logprobs_of({all.row<float>(i), vocab}, tokens[at], num_top);
    }
  });
  return std::span(scores_).first(rows.size());
}

}  // namespace hachi::engine
