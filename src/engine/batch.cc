#include "engine/batch.h"

#include <numeric>

namespace hachi::engine {

Batch::Batch(int64_t max_tokens, int64_t max_sequences) {
  ids_.reserve(static_cast<size_t>(max_tokens));
  positions_.reserve(static_cast<size_t>(max_tokens));
  spans_.reserve(static_cast<size_t>(max_sequences));
}

void Batch::fill(std::span<const Slice> slices) {
  ids_.clear();
  positions_.clear();
  spans_.clear();
  for (const Slice& slice : slices) {
    const Sequence& sequence = *slice.sequence;
    const auto first = static_cast<int64_t>(ids_.size());
    const auto begin = sequence.tokens.begin() + sequence.num_computed;
    ids_.insert(ids_.end(), begin, begin + slice.count);
    positions_.resize(ids_.size());
    std::iota(positions_.begin() + first, positions_.end(),
              static_cast<int32_t>(sequence.num_computed));
    spans_.push_back({first, slice.count, sequence.pages.pages()});
  }
}

}  // namespace hachi::engine
