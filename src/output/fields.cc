#include "output/fields.h"

#include <utility>

namespace hachi::output {
namespace {

using CallKind = chat::ToolCallParser::Kind;

Field field_of(CallKind kind) {
  switch (kind) {
    case CallKind::kName:
      return Field::kCallName;
    case CallKind::kArguments:
      return Field::kCallArguments;
    case CallKind::kContent:
      break;
  }
  return Field::kContent;
}

}  // namespace

FieldSplitter::FieldSplitter(const FieldOptions& options)
    : splits_(options.split_thinking), thinking_(options.prompt) {
  if (options.calls) calls_.emplace(*options.calls);
}

void FieldSplitter::push(std::string_view text, std::vector<Piece>& out) {
  new_answer_.clear();
  new_call_.reset();
  if (text.empty()) return;
  if (splits_) return pass(thinking_.push(text), out);
  push_answer(text, out);
}

void FieldSplitter::finish(std::vector<Piece>& out) {
  if (splits_) pass(thinking_.finish(), out);
  if (!calls_) return;
  calls_->finish(parsed_);
  append_calls(out);
}

std::string_view FieldSplitter::held() const {
  if (is_thinking()) return thinking_.held();
  return calls_ ? calls_->held() : std::string_view();
}

void FieldSplitter::pass(std::vector<chat::ThinkingSplitter::Piece>&& pieces,
                         std::vector<Piece>& out) {
  for (auto& [kind, text] : pieces) {
    if (kind == chat::ThinkingSplitter::Kind::kThinking) {
      out.push_back({Field::kReasoning, std::move(text)});
    } else {
      push_answer(text, out);
    }
  }
}

void FieldSplitter::push_answer(std::string_view text, std::vector<Piece>& out) {
  new_answer_ += text;
  if (!calls_) {
    out.push_back({Field::kContent, std::string(text)});
    return;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const bool was_in_call = calls_->in_call();
    calls_->push(text.substr(i, 1), parsed_);
    if (!was_in_call && calls_->in_call()) {
      new_call_.emplace();
    } else if (new_call_) {
      *new_call_ += text[i];
    }
  }
  append_calls(out);
}

void FieldSplitter::append_calls(std::vector<Piece>& out) {
  for (auto& [kind, call, text] : parsed_) {
    out.push_back({field_of(kind), std::move(text), call});
  }
  parsed_.clear();
}

}  // namespace hachi::output
