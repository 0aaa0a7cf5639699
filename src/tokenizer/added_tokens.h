// Added tokens: texts that become one token before anything else looks at them, such as
// "<|im_end|>". The special ones among them steer a model and are never spoken text.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace hachi::tokenizer {

struct AddedToken {
  std::string text;
  TokenId id = -1;
  bool special = false;
  bool single_word = false;  // only where no word character stands directly beside it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space after it along
  bool normalized = false;   // is looked for in the normalized text, not in the text as given
};

// Finds the leftmost of some added tokens in a text, the longest of those that begin together.
class AddedTokenFinder {
 public:
  struct Match {
    const AddedToken* token;
    size_t begin, end;  // bytes, before any white space is taken along
  };

  AddedTokenFinder() = default;
  // The texts differ from each other and are not empty.
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }

  // The first match that begins at `from` or later and that `accept(match)` lets pass; where it
  // does not, a shorter token at the same place may.
  template <class Accept>
  std::optional<Match> find(std::string_view text, size_t from, Accept accept) const {
    for (size_t at = candidate(text, from); at < text.size(); at = candidate(text, at + 1)) {
      if (const auto match = longest_at(text, at, accept)) return match;
    }
    return std::nullopt;
  }

 private:
  struct Range {
    size_t begin = 0, end = 0;  // in tokens_
  };

  // The first byte at `from` or later that some token begins with.
  size_t candidate(std::string_view text, size_t from) const;
  // Of the tokens in `range`, which agree in their first `depth` bytes, those with `byte` next.
  Range narrow(Range range, size_t depth, char byte) const;

  template <class Accept>
  std::optional<Match> longest_at(std::string_view text, size_t at, Accept accept) const {
    std::optional<Match> longest;
    Range range = by_first_byte_[static_cast<uint8_t>(text[at])];
    for (size_t depth = 1; range.begin < range.end; ++depth) {
      if (tokens_[range.begin].text.size() == depth) {
        const Match match = {&tokens_[range.begin], at, at + depth};
        if (accept(match)) longest = match;
        ++range.begin;
      }
      if (at + depth >= text.size()) break;
      range = narrow(range, depth, text[at + depth]);
    }
    return longest;
  }

  std::vector<AddedToken> tokens_;  // by text, so that equal beginnings stand together
  std::array<Range, 256> by_first_byte_;
  int only_first_byte_ = -1;  // where all tokens begin with the same byte
};

// Bytes of white space at the end and at the start of `text` (Unicode White_Space).
size_t trailing_space(std::string_view text);
size_t leading_space(std::string_view text);

// Whether `text` ends or starts with a character of a word, as the \w of Unicode's UTS #18.
bool ends_with_word(std::string_view text);
bool starts_with_word(std::string_view text);

}  // namespace hachi::tokenizer
