#include "tokenizer/char_class.h"

#include <algorithm>
#include <iterator>

namespace hachi::tokenizer {
namespace {

constexpr uint32_t kRuns[] = {
#include "tokenizer/char_class_runs.inc"
};

}  // namespace

const CharClasses& CharClasses::get() {
  static const CharClasses classes;
  return classes;
}

// Most blocks of the code space are of one class all through; those of a class share one block.
CharClasses::CharClasses() {
  constexpr uint16_t kNone = UINT16_MAX;
  std::array<uint16_t, 8> uniform;
  uniform.fill(kNone);
  size_t run = 0;
  for (uint32_t block = 0; block < block_of_.size(); ++block) {
    const uint32_t first = block << kBlockBits;
    std::array<CharClass, kBlockSize> classes;
    uint32_t at = first;
    while (at < first + kBlockSize) {
      const uint32_t next = run + 1 < std::size(kRuns) ? kRuns[run + 1] >> 3 : 0x110000;
      const uint32_t end = std::min(next, first + kBlockSize);
      const auto value = static_cast<CharClass>(kRuns[run] & 7);
      std::fill(classes.begin() + (at - first), classes.begin() + (end - first), value);
      at = end;
      if (at == next) ++run;
    }
    const bool same = std::all_of(classes.begin(), classes.end(),
                                  [&](CharClass value) { return value == classes[0]; });
    uint16_t& shared = uniform[static_cast<size_t>(classes[0])];
    if (same && shared != kNone) {
      block_of_[block] = shared;
      continue;
    }
    block_of_[block] = static_cast<uint16_t>(blocks_.size() >> kBlockBits);
    if (same) shared = block_of_[block];
    blocks_.insert(blocks_.end(), classes.begin(), classes.end());
  }
  std::copy_n(blocks_.begin() + (block_of_[0] << kBlockBits), 128, ascii_.begin());
}

}  // namespace hachi::tokenizer
