// Classes of characters as the split patterns of tokenizers need them: \p{L} \p{N} \p{P} \p{S}
// \p{M} and \s, by the general categories and White_Space of Unicode 16.0 whatever libraries are
// installed, because a token boundary must not depend on them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hachi::tokenizer {

enum class CharClass : uint8_t { kOther, kLetter, kNumber, kPunctuation, kSymbol, kMark, kSpace };

// A two-stage table over all code points, built once (about 0.1 ms) at the first use.
class CharClasses {
 public:
  static const CharClasses& get();

  CharClass of(uint32_t code_point) const {
    if (code_point < 128) return ascii_[code_point];
    if (code_point > 0x10FFFF) return CharClass::kOther;
    return blocks_[size_t{block_of_[code_point >> kBlockBits]} << kBlockBits |
                   (code_point & (kBlockSize - 1))];
  }

 private:
  static constexpr uint32_t kBlockBits = 7;
  static constexpr uint32_t kBlockSize = 1u << kBlockBits;
  CharClasses();

  std::array<CharClass, 128> ascii_;
  std::array<uint16_t, (0x110000u >> kBlockBits)> block_of_;
  std::vector<CharClass> blocks_;
};

}  // namespace hachi::tokenizer
