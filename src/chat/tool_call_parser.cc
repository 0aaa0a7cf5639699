#include "chat/tool_call_parser.h"

#include <array>
#include <span>
#include <utility>

namespace hachi::chat {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr size_t kMaxNameBytes = 256;

constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>",
                           kCallsEnd = "<｜tool▁calls▁end｜>", kCallBegin = "<｜tool▁call▁begin｜>",
                           kCallEnd = "<｜tool▁call▁end｜>", kSeparator = "<｜tool▁sep｜>";
constexpr std::array<std::string_view, 1> kHermesEnds = {"</tool_call>"};
constexpr std::array<std::string_view, 3> kDeepSeekEnds = {kCallEnd, kCallBegin, kCallsEnd};
constexpr std::array<std::string_view, 2> kSectionMarks = {kCallBegin, kCallsEnd};

bool is_space(char byte) { return kSpace.find(byte) != std::string_view::npos; }

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

enum class Match { kNone, kPart, kWhole };

Match match(std::string_view text, std::span<const std::string_view> marks) {
  Match best = Match::kNone;
  for (const std::string_view mark : marks) {
    if (text == mark) return Match::kWhole;
    if (mark.starts_with(text)) best = Match::kPart;
  }
  return best;
}

}  // namespace

ToolCallParser::ToolCallParser(ToolStyle style) : style_(style), object_(false) {}

bool ToolCallParser::in_call() const {
  if (style_ == ToolStyle::kLlama) return state_ == State::kObject && object_.is_named();
  return state_ != State::kText;
}

void ToolCallParser::push(std::string_view text, std::vector<Piece>& out) {
  for (const char byte : text) take(byte, out);
}

void ToolCallParser::finish(std::vector<Piece>& out) {
  if (state_ == State::kText) {
    put_text(std::exchange(held_, ""), out);
  } else if (!raw_.empty()) {
    is_broken_off_ = by_mark_;
    give_up(out);
  } else {
    // Only the closing marks may be missing.
    is_broken_off_ = is_broken_off_ || state_ == State::kObject || state_ == State::kArguments ||
                     state_ == State::kBeforeArguments || state_ == State::kHeader ||
                     state_ == State::kName;
    state_ = State::kText;
  }
  if (num_calls_ == 0) put(Kind::kContent, 0, space_, out);
  space_.clear();
  held_.clear();
}

void ToolCallParser::take(char byte, std::vector<Piece>& out) {
  switch (state_) {
    case State::kText:
      return take_text(byte, out);
    case State::kBeforeObject:
      return take_before_object(byte, out);
    case State::kObject:
      return take_object(byte, out);
    case State::kAfterObject:
      return take_after_object(byte, out);
    case State::kClose:
      return take_close(byte, out);
    case State::kSection:
      return take_section(byte, out);
    case State::kHeader:
      return take_header(byte, out);
    case State::kName:
      return take_name(byte, out);
    case State::kBeforeArguments:
      return take_before_arguments(byte, out);
    case State::kArguments:
      return take_arguments(byte, out);
  }
}

void ToolCallParser::take_text(char byte, std::vector<Piece>& out) {
  if (style_ == ToolStyle::kLlama && at_start_ && held_.empty() && byte == '{') {
    by_mark_ = false;
    return begin_object(byte, out);
  }
  held_ += byte;
  const auto marks = call_marks(style_);
  while (!held_.empty()) {
    const Match found = match(held_, marks);
    if (found == Match::kPart) return;
    if (found == Match::kWhole) return open_mark(std::exchange(held_, ""));
    put_text(held_.substr(0, 1), out);
    held_.erase(0, 1);
  }
}

void ToolCallParser::open_mark(std::string_view mark) {
  raw_ = mark;
  by_mark_ = true;
  in_list_ = false;
  state_ = mark == kCallsBegin  ? State::kSection
           : mark == kCallBegin ? State::kHeader
                                : State::kBeforeObject;
  name_.clear();
}

void ToolCallParser::take_before_object(char byte, std::vector<Piece>& out) {
  if (byte == '{') return begin_object(byte, out);
  if (byte == ']' && in_list_ && raw_.empty()) {
    state_ = style_ == ToolStyle::kHermes ? State::kClose : State::kText;
    skips_ = false;
    return;
  }
  const bool joins = is_space(byte) || (in_list_ && byte == ',');
  const bool opens = byte == '[' && !in_list_;
  if (!joins && !opens) {
    give_up(out);
    return take(byte, out);
  }
  in_list_ = in_list_ || opens;
  if (!raw_.empty()) raw_ += byte;
}

void ToolCallParser::begin_object(char byte, std::vector<Piece>& out) {
  object_ = CallObject(style_ == ToolStyle::kLlama);
  state_ = State::kObject;
  take_object(byte, out);
}

void ToolCallParser::take_object(char byte, std::vector<Piece>& out) {
  std::string name, arguments;
  const bool was_call = object_.is_call();
  if (!was_call) raw_ += byte;
  const CallObject::Step step = object_.push(byte, name, arguments);
  if (object_.is_call() && !was_call) begin_call(name, out);
  if (object_.is_call()) put(Kind::kArguments, num_calls_ - 1, arguments, out);
  if (step == CallObject::Step::kInside) return;
  if (step == CallObject::Step::kDone) return end_call();
  if (object_.is_call()) {
    is_broken_off_ = true;
    in_list_ = false;
    skips_ = true;
    state_ = style_ == ToolStyle::kHermes ? State::kClose : State::kText;
    return take(byte, out);
  }
  raw_.pop_back();
  give_up(out);
  take(byte, out);
}

void ToolCallParser::end_call() {
  skips_ = false;
  if (in_list_) {
    state_ = State::kBeforeObject;
  } else if (style_ == ToolStyle::kHermes) {
    state_ = State::kClose;
  } else {
    state_ = style_ == ToolStyle::kLlama ? State::kAfterObject : State::kText;
  }
}

void ToolCallParser::take_after_object(char byte, std::vector<Piece>& out) {
  if (byte == '{') return begin_object(byte, out);
  if (is_space(byte) || byte == ';') return;
  state_ = State::kText;
  take(byte, out);
}

void ToolCallParser::take_close(char byte, std::vector<Piece>& out) {
  if (held_.empty() && is_space(byte)) return;
  held_ += byte;
  const bool is_deepseek = style_ == ToolStyle::kDeepSeek;
  const std::span<const std::string_view> marks =
      is_deepseek ? std::span<const std::string_view>(kDeepSeekEnds) : kHermesEnds;
  while (!held_.empty()) {
    const Match found = match(held_, marks);
    if (found == Match::kPart) return;
    if (found == Match::kWhole) {
      name_.clear();
      state_ = !is_deepseek || held_ == kCallsEnd ? State::kText
               : held_ == kCallBegin              ? State::kHeader
                                                  : State::kSection;
      held_.clear();
      return;
    }
    if (!skips_) {
      state_ = State::kText;
      return retake_held(out);
    }
    held_.erase(0, 1);
  }
}

void ToolCallParser::take_section(char byte, std::vector<Piece>& out) {
  if (held_.empty() && is_space(byte)) {
    if (!raw_.empty()) raw_ += byte;
    return;
  }
  held_ += byte;
  const Match found = match(held_, kSectionMarks);
  if (found == Match::kPart) return;
  const bool is_empty = held_ == kCallsEnd && !raw_.empty();
  if (found == Match::kNone || is_empty) {
    std::string held = std::exchange(held_, "");
    give_up(out);
    held_ = std::move(held);
    return retake_held(out);
  }
  if (!raw_.empty()) raw_ += held_;
  state_ = held_ == kCallBegin ? State::kHeader : State::kText;
  name_.clear();
  held_.clear();
}

void ToolCallParser::take_header(char byte, std::vector<Piece>& out) {
  name_ += byte;
  if (!raw_.empty()) raw_ += byte;
  if (name_.size() > kMaxNameBytes) return give_up(out);
  if (!std::string_view(name_).ends_with(kSeparator)) return;
  name_.resize(name_.size() - kSeparator.size());
  const std::string header(trimmed(name_));
  name_.clear();
  if (header.empty() || header == "function") {
    state_ = State::kName;
    return;
  }
  // Since V3.1 the name stands here and the arguments follow at once.
  begin_call(header, out);
  state_ = State::kBeforeArguments;
}

void ToolCallParser::take_name(char byte, std::vector<Piece>& out) {
  const bool ends = byte == '`' || byte == '{' || byte == '<' || (byte == '\n' && !name_.empty());
  if (!ends) {
    name_ += byte;
    if (!raw_.empty()) raw_ += byte;
    if (name_.size() > kMaxNameBytes) give_up(out);
    return;
  }
  const std::string_view name = trimmed(name_);
  if (name.empty()) {
    give_up(out);
    return take(byte, out);
  }
  begin_call(name, out);
  state_ = State::kBeforeArguments;
  take(byte, out);
}

// Over the fence of a block of code.
void ToolCallParser::take_before_arguments(char byte, std::vector<Piece>& out) {
  if (byte == '<') {
    put(Kind::kArguments, num_calls_ - 1, "{}", out);
    state_ = State::kClose;
    skips_ = true;
    return take(byte, out);
  }
  if (byte != '{') return;
  scanner_ = {};
  state_ = State::kArguments;
  take(byte, out);
}

void ToolCallParser::take_arguments(char byte, std::vector<Piece>& out) {
  const JsonScanner::Step step = scanner_.push(byte);
  const bool is_wrong = step == JsonScanner::Step::kWrong;
  if (!is_wrong) put(Kind::kArguments, num_calls_ - 1, std::string_view(&byte, 1), out);
  if (step == JsonScanner::Step::kInside) return;
  is_broken_off_ = is_broken_off_ || is_wrong;
  state_ = State::kClose;
  skips_ = true;
  if (is_wrong) take(byte, out);
}

void ToolCallParser::begin_call(std::string_view name, std::vector<Piece>& out) {
  raw_.clear();
  ++num_calls_;
  at_start_ = false;
  out.push_back({Kind::kName, num_calls_ - 1, std::string(name)});
}

// What began like a call is content.
void ToolCallParser::give_up(std::vector<Piece>& out) {
  state_ = State::kText;
  in_list_ = false;
  const std::string raw = std::exchange(raw_, "") + std::exchange(held_, "");
  put_text(raw, out);
}

void ToolCallParser::retake_held(std::vector<Piece>& out) {
  const std::string held = std::exchange(held_, "");
  for (const char byte : held) take(byte, out);
}

void ToolCallParser::put_text(std::string_view text, std::vector<Piece>& out) {
  for (const char byte : text) {
    if (is_space(byte)) {
      space_ += byte;
      continue;
    }
    at_start_ = false;
    put(Kind::kContent, 0, std::exchange(space_, ""), out);
    put(Kind::kContent, 0, std::string_view(&byte, 1), out);
  }
}

void ToolCallParser::put(Kind kind, int call, std::string_view text, std::vector<Piece>& out) {
  if (text.empty()) return;
  if (!out.empty() && out.back().kind == kind && out.back().call == call && kind != Kind::kName) {
    out.back().text += text;
  } else {
    out.push_back({kind, call, std::string(text)});
  }
}

}  // namespace hachi::chat
