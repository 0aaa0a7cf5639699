#include "grammar/vocabulary.h"

#include <algorithm>
#include <utility>

namespace hachi::grammar {
namespace {

std::vector<std::string> without(std::vector<std::string> tokens, std::span<const TokenId> ids) {
  for (const TokenId id : ids) tokens[static_cast<size_t>(id)].clear();
  return tokens;
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> tokens, std::span<const TokenId> stop_ids)
    : tokens_(without(std::move(tokens), stop_ids)),
      stop_ids_(stop_ids.begin(), stop_ids.end()),
      trie_(tokens_) {
  std::sort(stop_ids_.begin(), stop_ids_.end());
}

Result<std::shared_ptr<const Vocabulary>> Vocabulary::make(const tokenizer::Tokenizer& tokenizer,
                                                           std::span<const TokenId> stop_ids,
                                                           int32_t size) {
  const int32_t count = std::max(size, tokenizer.vocab_size());
  std::vector<std::string> tokens(static_cast<size_t>(count));
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_special(id)) tokens[static_cast<size_t>(id)] = tokenizer.token_bytes(id);
  }
  return make(std::move(tokens), stop_ids);
}

Result<std::shared_ptr<const Vocabulary>> Vocabulary::make(std::vector<std::string> tokens,
                                                           std::span<const TokenId> stop_ids) {
  if (tokens.size() > tokenizer::kMaxTokens) {
    return fail(Code::kLimit, "a vocabulary of {} tokens; at most {} are allowed", tokens.size(),
                tokenizer::kMaxTokens);
  }
  if (stop_ids.empty()) {
    return fail(Code::kInvalidArgument,
                "the model names no token that ends an answer: structured output needs one");
  }
  for (const TokenId id : stop_ids) {
    if (id < 0 || static_cast<size_t>(id) >= tokens.size()) {
      return fail(Code::kInvalidArgument, "the token {} that ends an answer is not below {}", id,
                  tokens.size());
    }
  }
  for (std::string& token : tokens) {
    if (token.size() > kMaxTrieTokenBytes) token.clear();
  }
  return std::shared_ptr<const Vocabulary>(new Vocabulary(std::move(tokens), stop_ids));
}

bool Vocabulary::is_stop(TokenId id) const {
  return std::binary_search(stop_ids_.begin(), stop_ids_.end(), id);
}

}  // namespace hachi::grammar
