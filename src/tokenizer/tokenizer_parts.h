// TokenizerParts: what the two loaders (tokenizer.json, GGUF) make and the Tokenizer runs on.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "formats/metadata.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace hachi::tokenizer {

// Stays where it was made: the model points at the vocabulary.
struct TokenizerParts {
  Vocabulary vocabulary;          // added tokens included
  std::vector<AddedToken> added;  // texts and ids as in the vocabulary, no two the same
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe model;
  Decoder decoder;
  std::vector<TokenId> prefix, suffix;  // what add_special adds
  std::optional<TokenId> bos, eos;
};

Result<std::unique_ptr<TokenizerParts>> parts_from_json(std::string_view text);
Result<std::unique_ptr<TokenizerParts>> parts_from_gguf(const formats::Metadata& metadata);

}  // namespace hachi::tokenizer
