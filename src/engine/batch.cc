#include "engine/batch.h"

#include <algorithm>
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
    const auto size = static_cast<int64_t>(sequence.tokens.size());
    const auto begin = sequence.tokens.begin();
    ids_.insert(ids_.end(), begin + std::min(slice.first, size),
                begin + std::min(slice.first + slice.count, size));
    if (slice.first + slice.count > size) {
      ids_.push_back(-1 - static_cast<int32_t>(sequence.drawn_row));
    }
    positions_.resize(ids_.size());
    std::iota(positions_.begin() + first, positions_.end(), static_cast<int32_t>(slice.first));
    spans_.push_back({first, slice.count, sequence.pages.pages()});
  }
}

}  // namespace hachi::engine
