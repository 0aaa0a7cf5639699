#include "output/answer_text.h"

#include <utility>

namespace hachi::output {

AnswerText::AnswerText(const tokenizer::Tokenizer& tokenizer, AnswerTextOptions options)
    : decoder_(tokenizer, options.skip_special),
      tokenizer_(&tokenizer),
      marks_(tokenizer, options.automaton.fields),
      automaton_(tokenizer, options.automaton),
      stop_(std::move(options.stops)),
      fields_(options.automaton.fields) {}

void AnswerText::push(tokenizer::TokenId token, std::vector<Piece>& out) {
  automaton_.accept(token);
  std::string text;
  if (marks_.contains(token)) {
    text = decoder_.finish();
    text += tokenizer_->token(token);
  } else {
    text = decoder_.push(token);
  }
  fields_.push(stop_.push(text), out);
}

void AnswerText::finish(std::vector<Piece>& out) {
  fields_.push(stop_.push(decoder_.finish()), out);
  fields_.push(stop_.finish(), out);
  fields_.finish(out);
}

}  // namespace hachi::output
