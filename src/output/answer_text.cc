#include "output/answer_text.h"

#include <utility>

namespace hachi::output {

AnswerText::AnswerText(const tokenizer::Tokenizer& tokenizer, AnswerTextOptions options)
    : decoder_(tokenizer, options.skip_special),
      stop_(std::move(options.stops)),
      splitter_(options.prompt),
      splits_(options.split_thinking) {}

void AnswerText::push(tokenizer::TokenId token, std::vector<Piece>& out) {
  split(stop_.push(decoder_.push(token)), out);
}

void AnswerText::finish(std::vector<Piece>& out) {
  split(stop_.push(decoder_.finish()), out);
  split(stop_.finish(), out);
  if (splits_) append(splitter_.finish(), out);
}

void AnswerText::split(std::string text, std::vector<Piece>& out) {
  if (text.empty()) return;
  if (splits_) {
    append(splitter_.push(text), out);
  } else {
    out.push_back({false, std::move(text)});
  }
}

void AnswerText::append(std::vector<chat::ThinkingSplitter::Piece>&& pieces,
                        std::vector<Piece>& out) {
  for (auto& [kind, text] : pieces) {
    out.push_back({kind == chat::ThinkingSplitter::Kind::kThinking, std::move(text)});
  }
}

}  // namespace hachi::output
