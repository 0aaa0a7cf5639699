// Hashes of the beginnings of texts, page after page.
#pragma once

#include <cstdint>
#include <span>

namespace hachi::engine {

// Fowler-Noll-Vo over whole words, and a final mix. Tables may be searched with tokens that an
// attacker chose: who uses it bears collisions.
inline constexpr uint64_t kNoText = 0xcbf29ce484222325;

inline uint64_t mix(uint64_t hash, uint64_t word) { return (hash ^ word) * 0x100000001b3; }

inline uint64_t spread(uint64_t hash) {
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93;
  return hash ^ (hash >> 32);
}

// Of the text whose hash is `before`, with these tokens after it.
inline uint64_t hash_text(uint64_t before, std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) before = mix(before, static_cast<uint32_t>(token));
  return spread(before);
}

}  // namespace hachi::engine
