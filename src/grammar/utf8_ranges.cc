#include "grammar/utf8_ranges.h"

#include <algorithm>
#include <string>

#include "core/utf8.h"

namespace hachi::grammar {

void append_utf8_ranges(CharRange range, std::vector<ByteSequence>& out) {
  // Characters of one length only.
  for (const uint32_t last_of_length : {0x7Fu, 0x7FFu, 0xFFFFu}) {
    if (range.first <= last_of_length && range.last > last_of_length) {
      append_utf8_ranges({range.first, last_of_length}, out);
      append_utf8_ranges({last_of_length + 1, range.last}, out);
      return;
    }
  }
  // Where the leading bytes differ, those that follow must range over all of 0x80..0xBF.
  for (int tail = 1; tail < 4 && range.last > 0x7F; ++tail) {
    const uint32_t mask = (uint32_t{1} << (6 * tail)) - 1;
    if ((range.first & ~mask) == (range.last & ~mask)) break;
    if ((range.first & mask) != 0) {
      append_utf8_ranges({range.first, range.first | mask}, out);
      append_utf8_ranges({(range.first | mask) + 1, range.last}, out);
      return;
    }
    if ((range.last & mask) != mask) {
      append_utf8_ranges({range.first, (range.last & ~mask) - 1}, out);
      append_utf8_ranges({range.last & ~mask, range.last}, out);
      return;
    }
  }
  std::string first;
  std::string last;
  append_utf8(first, range.first);
  append_utf8(last, range.last);
  ByteSequence sequence;
  sequence.length = static_cast<int>(first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    sequence.ranges[i] = {static_cast<uint8_t>(first[i]), static_cast<uint8_t>(last[i])};
  }
  out.push_back(sequence);
}

}  // namespace hachi::grammar
