// The UTF-8 of a range of code points, as sequences of byte ranges.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "grammar/char_set.h"

namespace hachi::grammar {

struct ByteRange {
  uint8_t first;
  uint8_t last;
};

// The characters whose bytes lie in these ranges, one after the other.
struct ByteSequence {
  int length = 0;
  std::array<ByteRange, 4> ranges{};
};

// Sequences that together match exactly the UTF-8 of `range`, which has no surrogates.
void append_utf8_ranges(CharRange range, std::vector<ByteSequence>& out);

}  // namespace hachi::grammar
