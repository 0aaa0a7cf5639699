// AnswerText: the text of one answer as its tokens come: tokens -> text -> stop texts -> fields.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "output/automaton.h"
#include "output/fields.h"
#include "output/stop_text.h"
#include "tokenizer/tokenizer.h"

namespace hachi::output {

struct AnswerTextOptions {
  bool skip_special = true;  // special tokens have no text
  AutomatonOptions automaton;
  std::vector<std::string> stops;  // they end the answer wherever they stand, also in its thinking
};

class AnswerText {
 public:
  // The tokenizer outlives it.
  AnswerText(const tokenizer::Tokenizer& tokenizer, AnswerTextOptions options);

  // Appends what is settled once the token has come. Once stopped() is true, nothing more comes.
  void push(tokenizer::TokenId token, std::vector<Piece>& out);
  // The answer has ended, by a stop text or without one: what was held back.
  void finish(std::vector<Piece>& out);

  bool stopped() const { return stop_.found(); }
  // The stop text that did it; empty if none did.
  std::string_view stop_text() const { return stop_.text(); }
  // Whether the next token is one of thinking.
  bool is_thinking() const { return automaton_.is_thinking(); }
  bool is_budget_spent() const { return automaton_.is_budget_spent(); }
  // Calls that went out, and, after finish(), whether the answer ended within one.
  int num_calls() const { return fields_.num_calls(); }
  bool is_broken_off() const { return fields_.is_broken_off(); }

 private:
  tokenizer::StreamDecoder decoder_;
  const tokenizer::Tokenizer* tokenizer_;
  MarkTokens marks_;
  // The automaton knows of each token at once, while stop texts hold text back from the fields.
  Automaton automaton_;
  StopText stop_;
  FieldSplitter fields_;
};

}  // namespace hachi::output
