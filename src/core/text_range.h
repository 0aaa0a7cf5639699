// A range of bytes within a text. Chat marks with it which bytes of a prompt came from users, and
// the tokenizer recognises no special token that touches such a range.
#pragma once

#include <cstddef>

namespace hachi::inline core {

struct TextRange {
  size_t begin;
  size_t end;  // one past the last byte

  friend bool operator==(const TextRange&, const TextRange&) = default;
};

}  // namespace hachi::inline core
