// WordCache: the ids of words seen lately. A fixed table of cache lines, so it is bounded, needs no
// allocation and never has to be cleaned; a new word takes the place of the old one in its slot.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/hash.h"
#include "tokenizer/vocabulary.h"

namespace hachi::tokenizer {

class WordCache {
 public:
  static constexpr size_t kMaxWordBytes = 23;
  static constexpr size_t kMaxIds = 9;

  // A word as three machine words: its bytes, zeros, and its length in the last byte.
  struct Key {
    uint64_t a = 0, b = 0, c = 0;
  };

  // `word` has 1 to kMaxWordBytes bytes. `readable` bytes from its start on may be read.
  static Key key(std::string_view word, size_t readable) {
    Key key;
    if (readable >= 24) {
      std::memcpy(&key, word.data(), 24);
      const size_t bits = word.size() * 8;
      key.a &= bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
      key.b &= bits <= 64 ? 0 : bits >= 128 ? ~uint64_t{0} : (uint64_t{1} << (bits - 64)) - 1;
      key.c &= bits <= 128 ? 0 : (uint64_t{1} << (bits - 128)) - 1;
    } else {
      std::memcpy(&key, word.data(), word.size());
    }
    key.c |= static_cast<uint64_t>(word.size()) << 56;
    return key;
  }

  // Empty if the word is not known.
  std::span<const TokenId> find(const Key& key) const {
    const Slot& slot = slots_[index(key)];
    if (slot.key.a != key.a || slot.key.b != key.b || slot.key.c != key.c) return {};
    return {slot.ids.data(), slot.count};
  }

  // Keeps the ids if there are 1 to kMaxIds.
  void insert(const Key& key, std::span<const TokenId> ids) {
    if (ids.empty() || ids.size() > kMaxIds) return;
    Slot& slot = slots_[index(key)];
    slot.key = key;
    slot.count = static_cast<uint32_t>(ids.size());
    std::copy(ids.begin(), ids.end(), slot.ids.begin());
  }

 private:
  // 2^15 lines of 64 bytes are 2 MiB: about what a core has for itself.
  static constexpr size_t kSlots = size_t{1} << 15;
  struct alignas(64) Slot {
    Key key;
    uint32_t count = 0;
    std::array<TokenId, kMaxIds> ids;
  };
  static_assert(sizeof(Slot) == 64);

  static size_t index(const Key& key) {
    return mix(mix(key.a ^ kHashA, key.b ^ kHashB) ^ key.c, kHashA) & (kSlots - 1);
  }

  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
};

}  // namespace hachi::tokenizer
