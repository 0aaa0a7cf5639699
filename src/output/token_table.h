// TokenTable: the tokens of a model in the order of their bytes, to find those that begin with
// something.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace hachi::output {

// Immutable, made once a model (about 3 MB for 151,936 tokens); any thread.
class TokenTable {
 public:
  // `vocab_size` counts the logits of the model. The tokenizer outlives it.
  TokenTable(const tokenizer::Tokenizer& tokenizer, int64_t vocab_size);

  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }
  int64_t vocab_size() const { return vocab_size_; }
  size_t mask_words() const { return static_cast<size_t>((vocab_size_ + 31) / 32); }

  // visit(token, its bytes) for each token whose bytes begin with `prefix`.
  template <class Visit>
  void for_prefix(std::string_view prefix, const Visit& visit) const {
    const auto before = [this](const Entry& entry, std::string_view text) {
      return bytes(entry) < text;
    };
    auto at = std::lower_bound(entries_.begin(), entries_.end(), prefix, before);
    for (; at != entries_.end() && bytes(*at).starts_with(prefix); ++at) {
      visit(at->token, bytes(*at));
    }
  }

  // visit(token) for each token of nothing but bytes that go on a character, at most `most` of
  // them.
  template <class Visit>
  void for_followers(int most, const Visit& visit) const {
    for (const Follower& one : followers_) {
      if (one.num_bytes <= most) visit(one.token);
    }
  }

 private:
  struct Entry {
    uint32_t offset, size;
    tokenizer::TokenId token;
  };
  struct Follower {
    tokenizer::TokenId token;
    int num_bytes;
  };

  std::string_view bytes(const Entry& entry) const {
    return std::string_view(text_).substr(entry.offset, entry.size);
  }

  const tokenizer::Tokenizer* tokenizer_;
  int64_t vocab_size_;
  std::string text_;
  std::vector<Entry> entries_;  // by bytes; special tokens are left out
  std::vector<Follower> followers_;
};

}  // namespace hachi::output
