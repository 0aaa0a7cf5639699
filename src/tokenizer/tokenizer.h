// Tokenizer: text to token ids and back, exactly as Hugging Face's `tokenizers` library does it
// from a tokenizer.json; a GGUF file's metadata gives the same ids.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/text_range.h"
#include "formats/checkpoint.h"
#include "formats/metadata.h"
#include "tokenizer/decoder.h"
#include "tokenizer/vocabulary.h"

namespace hachi::tokenizer {

struct EncodeOptions {
  // False: no special token is recognised, its text is ordinary text. Added tokens that are not
  // special match all the same.
  bool parse_special = true;
  // Adds what the tokenizer's post-processor adds: the token that begins a text, the one that ends
  // it, both or none.
  bool add_special = false;
  // Parts of the text, ascending, that came from a user: a special token is recognised only where
  // it lies wholly outside of all of them.
  std::span<const TextRange> plain = {};
};

struct TokenizerParts;

// Immutable; all threads may use one at a time. Each call borrows its working memory, with a cache
// of words, from a pool that the tokenizer keeps; the pool holds one for each call that ever ran at
// the same time as others (about 2 MiB each).
class Tokenizer {
 public:
  // The class named in tokenizer_config.json is ignored on purpose: tokenizer.json says all.
  static Result<Tokenizer> from_json(std::string_view tokenizer_json);
  // The keys tokenizer.ggml.*.
  static Result<Tokenizer> from_gguf(const formats::Metadata& metadata);
  // tokenizer.json if the checkpoint has one, else the metadata of its GGUF file.
  static Result<Tokenizer> load(const formats::Checkpoint& checkpoint);
  // A tokenizer.json, a folder with one and perhaps a tokenizer_config.json, which names the tokens
  // that begin and end a text, or a GGUF file.
  static Result<Tokenizer> open(const std::filesystem::path& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Never fails. Bytes of `text` that are not UTF-8 count as U+FFFD, one for each wrong sequence.
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // Ids without a token are left out; `skip_special` leaves the special ones out too. Bytes that
  // make no UTF-8 come out as U+FFFD.
  std::string decode(std::span<const TokenId> ids, bool skip_special = false) const;

  // One more than the largest id; there may be ids below it without a token.
  int32_t vocab_size() const;

  // Rows that a model must have for it. Special tokens at the end need none: Gemma 3's last one
  // stands for an image, and its models have no row for it.
  int32_t rows_needed() const;
  std::optional<TokenId> id(std::string_view token) const;
  // As the vocabulary writes it; empty if there is none.
  std::string_view token(TokenId id) const;
  // The bytes that the token adds to a text; empty for special tokens and for ids without a token.
  std::string token_bytes(TokenId id) const;
  bool is_special(TokenId id) const;

  // The tokens that begin and end a text: as the GGUF file or tokenizer_config.json names them,
  // else what the post-processor adds.
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;

 private:
  friend class StreamDecoder;
  struct Shared;
  explicit Tokenizer(std::unique_ptr<TokenizerParts> parts);
  // The tokens that begin and end a text, as a tokenizer_config.json names them.
  void take_names(const formats::Metadata& tokenizer_config);

  std::unique_ptr<Shared> shared_;
};

// Decodes a stream token by token: the pushes and finish() together give what decode() gives for
// all of them. Text is held back only while it may still change: within a character, and within a
// run of byte tokens. The tokenizer must outlive it, and stay where it is.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  std::string push(TokenId id);
  // What was held back; the decoder is then as new.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  DecodeState state_;
};

}  // namespace hachi::tokenizer
