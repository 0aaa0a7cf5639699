#include "chat/families.h"

#include <algorithm>

namespace hachi::chat {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// How many bytes at the end of `text` could be the beginning of `mark`.
size_t partial_mark(std::string_view text, std::string_view mark) {
  for (size_t size = std::min(text.size(), mark.size() - 1); size > 0; --size) {
    if (text.ends_with(mark.substr(0, size))) return size;
  }
  return 0;
}

// `text` from its first byte that is not white space on.
std::string_view without_space(std::string_view text) {
  const size_t at = text.find_first_not_of(kSpace);
  return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

std::string_view without_space_behind(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

}  // namespace

ThinkingSplitter::ThinkingSplitter(std::string_view prompt) {
  const std::string_view text = without_space_behind(prompt);
  if (text.ends_with(kThinkBegin)) {
    state_ = State::kThinking;
    skips_space_ = true;
  } else if (text.ends_with(kThinkEnd)) {
    state_ = State::kAnswer;
  }
}

std::vector<ThinkingSplitter::Piece> ThinkingSplitter::push(std::string_view chunk) {
  held_ += chunk;
  std::vector<Piece> out;
  take(out, false);
  return out;
}

std::vector<ThinkingSplitter::Piece> ThinkingSplitter::finish() {
  std::vector<Piece> out;
  take(out, true);
  return out;
}

void ThinkingSplitter::take(std::vector<Piece>& out, bool at_end) {
  if (state_ == State::kStart && !take_start(at_end)) return;
  if (state_ == State::kThinking && !take_thinking(out, at_end)) return;
  if (skips_space_) {
    held_.erase(0, held_.size() - without_space(held_).size());
    if (held_.empty()) return;
    skips_space_ = false;
  }
  if (!held_.empty()) out.push_back({Kind::kAnswer, std::move(held_)});
  held_.clear();
}

// False while it is open whether the output begins with thinking.
bool ThinkingSplitter::take_start(bool at_end) {
  const std::string_view text = without_space(held_);
  if (text.starts_with(kThinkBegin)) {
    held_ = text.substr(kThinkBegin.size());
    state_ = State::kThinking;
    skips_space_ = true;
    return true;
  }
  if (!at_end && kThinkBegin.starts_with(text)) return false;
  state_ = State::kAnswer;
  return true;
}

// False while the thinking goes on.
bool ThinkingSplitter::take_thinking(std::vector<Piece>& out, bool at_end) {
  if (skips_space_) {
    held_.erase(0, held_.size() - without_space(held_).size());
    if (held_.empty()) return false;
    skips_space_ = false;
  }
  const size_t end = held_.find(kThinkEnd);
  const bool ended = end != std::string::npos;
  const size_t settled = ended    ? end
                         : at_end ? held_.size()
                                  : held_.size() - partial_mark(held_, kThinkEnd);
  if (settled > 0) out.push_back({Kind::kThinking, held_.substr(0, settled)});
  held_.erase(0, ended ? end + kThinkEnd.size() : settled);
  if (!ended) return false;
  state_ = State::kAnswer;
  skips_space_ = true;
  return true;
}

std::string_view no_thinking_after(std::string_view prompt) {
  const std::string_view text = without_space_behind(prompt);
  if (text.ends_with(kThinkEnd)) return "";
  return text.ends_with(kThinkBegin) ? "\n</think>\n\n" : "<think>\n\n</think>\n\n";
}

std::string_view chatml_template() {
  return "{%- for message in messages -%}"
         "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
         "{%- endfor -%}"
         "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";
}

Result<std::string> template_source(std::string_view own, bool has_im_start) {
  if (!own.empty()) return std::string(own);
  if (has_im_start) return std::string(chatml_template());
  return fail(Code::kUnsupported,
              "the model brings no chat template and its vocabulary has no \"<|im_start|>\"; give "
              "a template with --chat-template, or use --raw for plain text");
}

}  // namespace hachi::chat
