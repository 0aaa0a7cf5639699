// MergeTable: which two neighbouring tokens become which token, and in what order of preference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer/hash.h"
#include "tokenizer/vocabulary.h"

namespace hachi::tokenizer {

inline constexpr size_t kMaxMerges = size_t{1} << 24;  // the longest known list has 580,604

class MergeTable {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  struct Merge {
    uint32_t rank;  // kNoRank: the two do not merge
    TokenId merged;
  };

  explicit MergeTable(size_t count = 0) : slots_(table_size(count)), mask_(slots_.size() - 1) {}

  // At most `count` different pairs may be set; a pair that is set again takes the later value.
  void set(TokenId left, TokenId right, uint32_t rank, TokenId merged) {
    Slot& slot = slots_[locate(key(left, right))];
    slot = {key(left, right), {rank, merged}};
  }

  Merge find(TokenId left, TokenId right) const { return slots_[locate(key(left, right))].merge; }

  template <class Visit>
  void for_each(Visit visit) const {
    for (const Slot& slot : slots_) {
      if (slot.key == kFree) continue;
      visit(static_cast<TokenId>(slot.key >> 32), static_cast<TokenId>(slot.key & UINT32_MAX));
    }
  }

 private:
  // A pair of ids below 2^31 is never all ones, which marks a free slot.
  static constexpr uint64_t kFree = UINT64_MAX;
  struct Slot {
    uint64_t key = kFree;
    Merge merge = {kNoRank, -1};
  };

  static uint64_t key(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t locate(uint64_t wanted) const {
    size_t slot = mix(wanted ^ kHashB, kHashA) & mask_;
    while (slots_[slot].key != wanted && slots_[slot].key != kFree) slot = (slot + 1) & mask_;
    return slot;
  }

  std::vector<Slot> slots_;  // linear probing; the size is a power of two
  size_t mask_;
};

}  // namespace hachi::tokenizer
