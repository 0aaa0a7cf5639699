#include "tokenizer/decoder.h"

#include <charconv>
#include <optional>
#include <utility>

#include "core/utf8.h"
#include "tokenizer/byte_letters.h"

namespace hachi::tokenizer {
namespace {

std::string replaced(std::string_view text, const DecoderOptions::Replacement& step) {
  std::string out;
  size_t at = 0;
  for (size_t hit = text.find(step.pattern); hit != std::string_view::npos;
       hit = text.find(step.pattern, at)) {
    out.append(text, at, hit - at);
    out += step.content;
    at = hit + step.pattern.size();
  }
  return out.append(text, at);
}

// The byte that a token such as "<0x0A>" stands for.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  uint8_t value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

}  // namespace

void Decoder::push(std::string_view token, DecodeState& state, std::string& out) const {
  const bool first = std::exchange(state.first, false);
  switch (options_.kind) {
    case DecoderOptions::Kind::kSpaced:
      if (!first) out += ' ';
      out += token;
      return;
    case DecoderOptions::Kind::kByteLevel: {
      if (!append_bytes(token, state.pending)) state.pending += token;
      const size_t whole = complete_utf8_prefix(state.pending);
      out += replace_invalid_utf8(std::string_view(state.pending).substr(0, whole));
      state.pending.erase(0, whole);
      return;
    }
    case DecoderOptions::Kind::kPieces:
      return push_piece(token, state, out);
    case DecoderOptions::Kind::kMetaspace:
      // Every marker of the first token vanishes, as in the reference.
      out += replaced(token, {options_.marker, first && options_.drop_first_marker ? "" : " "});
      return;
  }
}

std::string Decoder::replace(std::string_view token) const {
  std::string text(token);
  for (const DecoderOptions::Replacement& step : options_.replacements) {
    if (text.find(step.pattern) != std::string::npos) text = replaced(text, step);
  }
  return text;
}

std::string Decoder::bytes(std::string_view token) const {
  std::string text(token);
  if (options_.kind == DecoderOptions::Kind::kByteLevel) {
    std::string raw;
    return append_bytes(token, raw) ? raw : text;
  }
  if (options_.kind == DecoderOptions::Kind::kMetaspace)
    return replaced(token, {options_.marker, " "});
  text = replace(token);
  const std::optional<char> byte = options_.byte_fallback ? byte_of(text) : std::nullopt;
  return byte ? std::string(1, *byte) : text;
}

void Decoder::push_piece(std::string_view raw_token, DecodeState& state, std::string& out) const {
  const std::string token = replace(raw_token);
  const std::optional<char> byte = options_.byte_fallback ? byte_of(token) : std::nullopt;
  if (byte) {
    state.pending += *byte;
    return;
  }
  close_byte_run(state, out);
  append_stripped(token, state, out);
}

// A run of byte tokens is text if it is UTF-8 as a whole, else U+FFFD for each byte; so nothing of
// it is certain before it ends.
void Decoder::close_byte_run(DecodeState& state, std::string& out) const {
  if (state.pending.empty()) return;
  const std::string run = std::exchange(state.pending, {});
  if (is_utf8(run)) return append_stripped(run, state, out);
  for (size_t i = 0; i < run.size(); ++i) append_stripped("\uFFFD", state, out);
}

void Decoder::append_stripped(std::string_view text, DecodeState& state, std::string& out) const {
  while (!state.strip_done && !text.empty()) {
    if (state.stripped < options_.strip_count && text.starts_with(options_.strip)) {
      text.remove_prefix(options_.strip.size());
      ++state.stripped;
    } else {
      state.strip_done = true;
    }
  }
  out += text;
}

void Decoder::finish(DecodeState& state, std::string& out) const {
  if (options_.kind == DecoderOptions::Kind::kByteLevel) {
    out += replace_invalid_utf8(state.pending);
  } else if (options_.kind == DecoderOptions::Kind::kPieces) {
    close_byte_run(state, out);
  }
  state = {};
}

}  // namespace hachi::tokenizer
