#include "grammar/char_set.h"

#include <algorithm>

namespace hachi::grammar {
namespace {

constexpr uint32_t kLastCodePoint = 0x10FFFF;
constexpr CharRange kSurrogates = {0xD800, 0xDFFF};

}  // namespace

CharSet::CharSet(std::initializer_list<CharRange> ranges) : ranges_(ranges) { normalize(); }

CharSet CharSet::all() { return {{0, kLastCodePoint}}; }

void CharSet::add(uint32_t first, uint32_t last) {
  ranges_.push_back({first, last});
  normalize();
}

void CharSet::add(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalize();
}

void CharSet::normalize() {
  std::vector<CharRange> cut;
  for (const CharRange& range : ranges_) {
    if (range.first < kSurrogates.first) {
      cut.push_back({range.first, std::min(range.last, kSurrogates.first - 1)});
    }
    if (range.last > kSurrogates.last) {
      cut.push_back({std::max(range.first, kSurrogates.last + 1), range.last});
    }
  }
  std::sort(cut.begin(), cut.end(),
            [](const CharRange& a, const CharRange& b) { return a.first < b.first; });
  ranges_.clear();
  for (const CharRange& range : cut) {
    const bool joins = !ranges_.empty() && range.first <= ranges_.back().last + 1;
    if (joins) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

CharSet CharSet::complement() const {
  CharSet result;
  uint32_t next = 0;
  for (const CharRange& range : ranges_) {
    if (range.first > next) result.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) result.ranges_.push_back({next, kLastCodePoint});
  result.normalize();
  return result;
}

CharSet CharSet::intersect(const CharSet& other) const {
  CharSet result;
  size_t i = 0;
  size_t j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const CharRange& a = ranges_[i];
    const CharRange& b = other.ranges_[j];
    const uint32_t first = std::max(a.first, b.first);
    const uint32_t last = std::min(a.last, b.last);
    if (first <= last) result.ranges_.push_back({first, last});
    ++(a.last < b.last ? i : j);
  }
  return result;
}

bool CharSet::contains(uint32_t c) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [c](const CharRange& range) { return range.first <= c && c <= range.last; });
}

}  // namespace hachi::grammar
