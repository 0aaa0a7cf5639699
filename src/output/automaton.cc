#include "output/automaton.h"

#include <algorithm>

namespace hachi::output {
namespace {

using tokenizer::TokenId;

// Bytes that follow a first byte of UTF-8; 0 for ASCII and for what begins no character.
int following_bytes(uint8_t byte) {
  if (byte >= 0xc2 && byte <= 0xdf) return 1;
  if (byte >= 0xe0 && byte <= 0xef) return 2;
  if (byte >= 0xf0 && byte <= 0xf4) return 3;
  return 0;
}

}  // namespace

MarkTokens::MarkTokens(const tokenizer::Tokenizer& tokenizer, const FieldOptions& options) {
  const auto add = [&](std::string_view mark) {
    const auto id = tokenizer.id(mark);
    if (id && tokenizer.is_special(*id)) ids_.push_back(*id);
  };
  if (options.split_thinking) {
    add(chat::kThinkBegin);
    add(chat::kThinkEnd);
  }
  if (!options.calls) return;
  for (const std::string_view mark : chat::all_marks(*options.calls)) add(mark);
}

bool MarkTokens::contains(TokenId token) const {
  return std::find(ids_.begin(), ids_.end(), token) != ids_.end();
}

Automaton::Automaton(const tokenizer::Tokenizer& tokenizer, const AutomatonOptions& options)
    : tokenizer_(&tokenizer),
      marks_(tokenizer, options.fields),
      fields_(options.fields),
      thinks_(options.thinks),
      budget_(options.thinking_budget),
      closing_(options.closing) {
  watch_budget();
}

std::span<const TokenId> Automaton::forced() const {
  return std::span(forced_).subspan(num_forced_);
}

void Automaton::accept(TokenId token) {
  if (fields_.is_thinking()) ++num_thinking_;
  new_bytes_ = marks_.contains(token) ? std::string(tokenizer_->token(token))
                                      : tokenizer_->token_bytes(token);
  fields_.push(new_bytes_, pieces_);
  pieces_.clear();
  count_bytes();
  if (num_forced_ < forced_.size()) {
    ++num_forced_;
  } else {
    watch_budget();
  }
}

void Automaton::count_bytes() {
  for (const char byte : new_bytes_) {
    const auto value = static_cast<uint8_t>(byte);
    const bool follows = value >= 0x80 && value <= 0xbf && lacking_ > 0;
    lacking_ = follows ? lacking_ - 1 : following_bytes(value);
  }
}

void Automaton::watch_budget() {
  waits_ = false;
  if (budget_ < 0 || spent_) return;
  const bool is_over = fields_.is_thinking() && num_thinking_ >= budget_;
  // Without a budget the model does not get to begin.
  if (!is_over && !(budget_ == 0 && may_think())) return;
  waits_ = lacking_ > 0;
  if (!waits_) close();
}

void Automaton::close() {
  spent_ = true;
  std::string words, mark;
  if (may_think()) {
    mark = chat::no_thinking_after("");
  } else if (!fields_.held().empty()) {
    // The model is about to close it by itself.
    mark = chat::kThinkEnd.substr(fields_.held().size());
    mark += "\n\n";
  } else {
    if (budget_ > 0) words = closing_;
    mark = chat::no_thinking_after(chat::kThinkBegin);
  }
  forced_ = tokenizer_->encode(words, {.parse_special = false});
  const auto marks = tokenizer_->encode(mark);
  forced_.insert(forced_.end(), marks.begin(), marks.end());
}

}  // namespace hachi::output
