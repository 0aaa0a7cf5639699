// Hashing of short byte strings and of pairs of token ids, for the flat tables of this folder. Not
// stable across builds; never written anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace hachi::tokenizer {

__extension__ using Uint128 = unsigned __int128;

// Folds the 128-bit product: every bit of both inputs reaches every bit of the result (the mixing
// step of wyhash).
inline uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<Uint128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline constexpr uint64_t kHashA = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
inline constexpr uint64_t kHashB = 0xD6E8FEB86659FD93;  // any odd number with mixed bits

inline uint64_t hash_bytes(std::string_view text) {
  uint64_t hash = text.size() * kHashA;
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    hash = mix(hash ^ word, kHashB);
  }
  uint64_t word = 0;
  std::memcpy(&word, at, left);
  return mix(hash ^ word, kHashA);
}

// The smallest power of two that holds `count` entries at a load of at most 2/3.
inline size_t table_size(size_t count) {
  size_t size = 16;
  while (size * 2 < count * 3) size *= 2;
  return size;
}

}  // namespace hachi::tokenizer
