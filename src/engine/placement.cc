#include "engine/placement.h"

#include <tuple>

#include "core/check.h"
#include "engine/prefix_hash.h"

namespace hachi::engine {
namespace {

constexpr size_t kTableSize = size_t{1} << 16;  // a million and more tokens, in a megabyte

}  // namespace

Placement::Placement(size_t num_engines, int64_t page_tokens)
    : page_tokens_(page_tokens), table_(kTableSize), chosen_(num_engines) {
  CHECK(num_engines > 0 && num_engines <= kMaxEngines);
}

int64_t Placement::count_known(size_t engine) {
  int64_t count = 0;
  for (const uint64_t text : texts_) {
    const Known& one = known(text);
    if (one.text != text || (one.engines >> engine & 1) == 0) break;
    ++count;
  }
  return count;
}

size_t Placement::place(uint64_t salt, std::span<const int32_t> prompt, bool shares,
                        std::span<const int64_t> num_open) {
  CHECK(num_open.size() == chosen_.size());
  const auto step = static_cast<size_t>(page_tokens_);
  texts_.clear();
  uint64_t text = mix(kNoText, salt);
  for (size_t at = 0; shares && at + step <= prompt.size(); at += step) {
    text = hash_text(text, prompt.subspan(at, step));
    texts_.push_back(text);
  }
  size_t best = 0;
  std::tuple<int64_t, int64_t, uint64_t> least{INT64_MAX, 0, 0};
  for (size_t i = 0; i < chosen_.size(); ++i) {
    if (num_open[i] < 0) continue;
    const int64_t missing = static_cast<int64_t>(prompt.size()) - count_known(i) * page_tokens_;
    const std::tuple cost{missing + num_open[i] * kTokensARequest, num_open[i], chosen_[i]};
    if (cost >= least) continue;
    least = cost;
    best = i;
  }
  chosen_[best] = ++num_placed_;
  for (const uint64_t one : texts_) {
    Known& entry = known(one);
    if (entry.text != one) entry = {one, 0};
    entry.engines |= uint64_t{1} << best;
  }
  return best;
}

}  // namespace hachi::engine
