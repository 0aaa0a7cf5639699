#include "engine/batch.h"

#include <algorithm>
#include <numeric>

namespace hachi::engine {

Batch::Batch(int64_t max_tokens, int64_t max_sequences) {
  ids_.reserve(static_cast<size_t>(max_tokens));
  positions_.reserve(static_cast<size_t>(max_tokens));
  spans_.reserve(static_cast<size_t>(max_sequences));
}

void Batch::clear() {
  ids_.clear();
  positions_.clear();
  spans_.clear();
}

void Batch::add(std::span<const int32_t> ids, int64_t position, std::span<const int32_t> pages) {
  const auto first = std::ssize(ids_);
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  positions_.resize(ids_.size());
  std::iota(positions_.begin() + first, positions_.end(), static_cast<int32_t>(position));
  spans_.push_back({first, std::ssize(ids), pages});
}

void Batch::fill(std::span<const Slice> slices) {
  clear();
  for (const Slice& slice : slices) {
    const Sequence& sequence = *slice.sequence;
    const int64_t end = slice.first + slice.count;
    const int64_t known = std::min(end, std::ssize(sequence.tokens));
    const int64_t first = std::min(slice.first, known);
    add(std::span(sequence.tokens)
            .subspan(static_cast<size_t>(first), static_cast<size_t>(known - first)),
        slice.first, sequence.pages.pages());
    if (known == end) continue;
    ids_.push_back(-1 - static_cast<int32_t>(sequence.drawn_row));
    positions_.push_back(static_cast<int32_t>(known));
    ++spans_.back().num_tokens;
  }
}

}  // namespace hachi::engine
