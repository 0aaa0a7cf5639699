// Decoder: the texts of tokens joined to text. One state machine serves whole sequences and
// streams, so that both give the same text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hachi::tokenizer {

struct DecoderOptions {
  enum class Kind {
    kSpaced,     // no decoder: token texts with a space between
    kByteLevel,  // GPT-2's letters for bytes
    kPieces,     // replacements, then byte tokens, then stripping, all as set below
    kMetaspace,  // `marker` becomes a space; at the first token it may vanish
  };
  struct Replacement {
    std::string pattern, content;
  };

  Kind kind = Kind::kSpaced;
  std::vector<Replacement> replacements;  // within each token, in this order
  bool byte_fallback = false;             // runs of tokens "<0x0A>" are bytes
  std::string strip;                      // this character is taken off the start of the text ...
  size_t strip_count = 0;                 // ... at most so often
  std::string marker;                     // kMetaspace
  bool drop_first_marker = false;         // kMetaspace
};

// What is known between two tokens of one text.
struct DecodeState {
  bool first = true;
  size_t stripped = 0;      // characters of `strip` taken off so far
  bool strip_done = false;  // another character has come
  std::string pending;      // bytes that are no whole character yet; or the open run of byte tokens
};

class Decoder {
 public:
  Decoder() = default;
  explicit Decoder(DecoderOptions options) : options_(std::move(options)) {}

  // Appends what is certain once the token has come; `token` is its text in the vocabulary.
  void push(std::string_view token, DecodeState& state, std::string& out) const;
  // Appends what is left when no token follows.
  void finish(DecodeState& state, std::string& out) const;

  // The bytes that the token adds within a text.
  std::string bytes(std::string_view token) const;

  const DecoderOptions& options() const { return options_; }

 private:
  std::string replace(std::string_view token) const;
  void push_piece(std::string_view token, DecodeState& state, std::string& out) const;
  void append_stripped(std::string_view text, DecodeState& state, std::string& out) const;
  void close_byte_run(DecodeState& state, std::string& out) const;

  DecoderOptions options_;
};

}  // namespace hachi::tokenizer
