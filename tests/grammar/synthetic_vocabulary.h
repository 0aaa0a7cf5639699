// A vocabulary of Qwen3's size, made from a seed: all bytes, and pieces of the kinds that
// byte-level BPE makes (words with and without a space before them, digits, JSON punctuation, other
// scripts).
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/random.h"
#include "core/utf8.h"

namespace hachi::grammar {

// 64 bits that depend on (seed, counter) alone.
inline uint64_t random_bits(uint64_t seed, uint64_t counter) {
  const auto words =
      philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<uint64_t>(words[0]) << 32 | words[1];
}

inline constexpr int32_t kSyntheticStop = 151'935;

inline std::vector<std::string> synthetic_tokens() {
  constexpr size_t kCount = 151'936;
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  std::unordered_set<std::string> known(tokens.begin(), tokens.end());
  uint64_t counter = 0;
  const auto below = [&counter](uint64_t bound) { return random_bits(42, counter++) % bound; };
  const std::string punctuation = "{}[]\":,.-+eE\\/ \n_()=;<>";
  while (tokens.size() < kCount - 1) {
    std::string token;
    const uint64_t kind = below(20);
    const size_t length = 1 + below(3) + below(4) + below(4);
    if (kind < 13) {
      if (below(2) == 0) token += ' ';
      for (size_t i = 0; i < length; ++i) token += static_cast<char>('a' + below(26));
    } else if (kind < 15) {
      for (size_t i = 0; i < 2 + below(3); ++i) {
        token += punctuation[below(punctuation.size())];
      }
      if (below(2) == 0) token += static_cast<char>('a' + below(26));
    } else if (kind < 16) {
      for (size_t i = 0; i < 1 + below(3); ++i) token += static_cast<char>('0' + below(10));
    } else if (kind < 17) {
      token.assign(2 + below(60), ' ');
    } else {
      const auto base = static_cast<uint32_t>(below(2) == 0 ? 0x4E00 : 0x400);
      const uint64_t width = base == 0x400 ? 0x80 : 0x4000;
      for (size_t i = 0; i < 1 + length / 2; ++i) {
        append_utf8(token, base + static_cast<uint32_t>(below(width)));
      }
      if (below(8) == 0) token.pop_back();  // pieces may end within a character
    }
    if (known.insert(token).second) tokens.push_back(token);
  }
  tokens.emplace_back();  // the stop id
  return tokens;
}

}  // namespace hachi::grammar
