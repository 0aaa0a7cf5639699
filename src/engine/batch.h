// Batch: the slices of a step, packed for the model.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/scheduler.h"
#include "kernels/context.h"

namespace hachi::engine {

class Batch {
 public:
  // Room for so many, so that filling never allocates.
  Batch(int64_t max_tokens, int64_t max_sequences);

  // A token that is still being drawn is -1 - its row, as forward() takes it.
  void fill(std::span<const Slice> slices);
  void clear();
  // Tokens of one more sequence, the first of them at `position`; as far as there is room.
  void add(std::span<const int32_t> ids, int64_t position, std::span<const int32_t> pages);
  int64_t num_tokens() const { return static_cast<int64_t>(ids_.size()); }
  ops::BatchView view() const { return {ids_, positions_, spans_}; }
  // The row of the first token of slice i.
  int64_t first_row(size_t i) const { return spans_[i].first_token; }

 private:
  std::vector<int32_t> ids_;
  std::vector<int32_t> positions_;
  std::vector<ops::SequenceSpan> spans_;
};

}  // namespace hachi::engine
