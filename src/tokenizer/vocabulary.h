// Vocabulary: the texts of all tokens, by id and by text. Texts are as the tokenizer's file writes
// them (byte-level ones in GPT-2's letters for bytes, SentencePiece ones with U+2581 for a space).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::tokenizer {

using TokenId = int32_t;

inline constexpr size_t kMaxTokens = size_t{1} << 22;      // the largest known have 2^18
inline constexpr size_t kMaxTokenBytes = size_t{1} << 16;  // the longest known have some hundreds

class Vocabulary {
 public:
  struct Entry {
    TokenId id;
    std::string_view text;
    bool in_model = true;  // false: only an added token, which merging must never produce
  };

  // Ids need not be dense; entries may come in any order. Fails if an id is out of range or given
  // to two texts, or a text to two ids.
  static Result<Vocabulary> build(const std::vector<Entry>& entries);

  // One more than the largest id.
  int32_t size() const { return static_cast<int32_t>(ends_.size()) - 1; }
  bool contains(TokenId id) const {
    return id >= 0 && id < size() && present_[static_cast<size_t>(id)];
  }
  // Empty if no token has this id.
  std::string_view text(TokenId id) const {
    if (id < 0 || id >= size()) return {};
    const size_t begin = ends_[static_cast<size_t>(id)];
    return std::string_view(bytes_).substr(begin, ends_[static_cast<size_t>(id) + 1] - begin);
  }
  // -1 if no token has this text.
  TokenId find(std::string_view text) const;
  // The same among the tokens of the model alone, without those that are only added tokens.
  TokenId find_in_model(std::string_view text) const {
    const TokenId id = find(text);
    return id >= 0 && in_model_[static_cast<size_t>(id)] ? id : -1;
  }

 private:
  struct Slot {
    uint32_t tag = 0;  // upper half of the hash
    TokenId id = -1;   // -1: free
  };

  std::string bytes_;                 // the texts, in the order of their ids
  std::vector<uint32_t> ends_ = {0};  // text i is bytes_[ends_[i], ends_[i + 1])
  std::vector<bool> present_;
  std::vector<bool> in_model_;
  std::vector<Slot> slots_ = std::vector<Slot>(1);  // linear probing; the size is a power of two
};

}  // namespace hachi::tokenizer
