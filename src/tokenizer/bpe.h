// Bpe: one piece of text to token ids by byte-pair encoding. Both kinds of tokenizer are this one
// model: byte-level ones start from bytes, SentencePiece ones from characters with a fallback to
// byte tokens. Merging takes the pair of the lowest rank, the leftmost of equals, until none is
// left (Sennrich et al. 2016, arXiv 1508.07909).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/word_cache.h"

namespace hachi::tokenizer {

struct BpeOptions {
  bool byte_level = false;     // pieces are bytes; tokens are written in GPT-2's letters for bytes
  bool ignore_merges = false;  // a piece that is a token is taken whole
  bool byte_fallback = false;  // a character without a token becomes its bytes' tokens, "<0x0A>"
  bool fuse_unk = false;       // neighbouring unknown characters become one unknown token
  TokenId unk = -1;            // -1: an unknown character is dropped
};

// The memory that encoding works in; one thread at a time.
struct BpeScratch {
  struct Symbol {
    TokenId id;
    uint32_t previous;
    uint32_t next;
  };
  std::vector<TokenId> ids;
  std::vector<Symbol> symbols;
  std::vector<uint64_t> heap;
  std::string letters;
  WordCache cache;
};

class Bpe {
 public:
  // A longer piece is cut at a border of characters, so that memory stays bounded (about 40 bytes
  // for each byte of a piece). No real text has one.
  static constexpr size_t kMaxPieceBytes = size_t{1} << 24;

  Bpe() = default;
  // `vocabulary` must outlive this object.
  Bpe(const Vocabulary& vocabulary, MergeTable merges, const BpeOptions& options);

  // Appends the ids of `piece`, which is UTF-8. The memory up to `readable_end`, at or behind the
  // end of the piece, may be read.
  void encode(std::string_view piece, const char* readable_end, BpeScratch& scratch,
              std::vector<TokenId>& out) const;

  const BpeOptions& options() const { return options_; }

 private:
  void encode_word(std::string_view word, const char* readable_end, BpeScratch& scratch,
                   std::vector<TokenId>& out) const;
  void encode_uncached(std::string_view word, BpeScratch& scratch, std::vector<TokenId>& out) const;
  void split_to_symbols(std::string_view word, std::vector<TokenId>& ids) const;
  bool append_byte_tokens(std::string_view character, std::vector<TokenId>& ids) const;
  void merge_short(std::vector<TokenId>& ids) const;
  void merge_long(BpeScratch& scratch) const;
  size_t word_end(std::string_view piece, size_t begin) const;
  void find_word_borders();

  const Vocabulary* vocabulary_ = nullptr;
  MergeTable merges_;
  BpeOptions options_;
  std::array<TokenId, 256> byte_tokens_;   // byte-level: of each byte; else the fallback's
  std::array<TokenId, 128> ascii_tokens_;  // of each ASCII character, when not byte-level
  // SentencePiece pieces are whole texts. A piece may be cut before each U+2581 whose preceding
  // byte never stands before a U+2581 inside a token: no merge reaches over such a border.
  bool cuts_words_ = false;
  std::array<bool, 256> joins_marker_;  // by the last byte before the U+2581
};

}  // namespace hachi::tokenizer
