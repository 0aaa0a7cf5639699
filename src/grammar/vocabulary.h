// Vocabulary: the tokens of a model as bytes, in the form that masks are computed from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "grammar/token_trie.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace hachi::grammar {

using tokenizer::TokenId;

// Immutable; made once a model (0.3 s and about 50 MB for 151,936 tokens) and shared by all
// threads.
class Vocabulary {
 public:
  // All tokens of `tokenizer` that add bytes to a text; special tokens and ids without a token are
  // never allowed by a mask. `stop_ids` are the tokens that end an answer, allowed only where a
  // text may end; at least one, each below `size`. `size` counts the logits of the model, which may
  // be more than the tokenizer has ids; 0: as many as those.
  static Result<std::shared_ptr<const Vocabulary>> make(const tokenizer::Tokenizer& tokenizer,
                                                        std::span<const TokenId> stop_ids,
                                                        int32_t size = 0);

  // The same from the bytes of each token, by id; an empty one is never allowed.
  static Result<std::shared_ptr<const Vocabulary>> make(std::vector<std::string> tokens,
                                                        std::span<const TokenId> stop_ids);

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  // The 32-bit words of a mask: one bit a token.
  size_t mask_words() const { return (tokens_.size() + 31) / 32; }
  bool is_stop(TokenId id) const;
  const TokenTrie& trie() const { return trie_; }

 private:
  friend class Matcher;
  Vocabulary(std::vector<std::string> tokens, std::span<const TokenId> stop_ids);

  std::vector<std::string> tokens_;
  std::vector<TokenId> stop_ids_;  // ascending
  TokenTrie trie_;
};

}  // namespace hachi::grammar
