// AnswerText: the text of one answer as its tokens come: tokens -> text -> stop texts -> thinking
// and answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/families.h"
#include "output/stop_text.h"
#include "tokenizer/tokenizer.h"

namespace hachi::output {

struct AnswerTextOptions {
  bool skip_special = true;    // special tokens have no text
  bool split_thinking = true;  // false: all is answer, marks and all
  std::string_view prompt;     // what the model goes on from: it may have begun the thinking
  std::vector<std::string> stops;
};

struct Piece {
  bool is_thinking;
  std::string text;
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
  // Whether the next token is one of thinking, as far as is known.
  bool is_thinking() const { return splits_ && splitter_.is_thinking(); }

 private:
  void split(std::string text, std::vector<Piece>& out);
  static void append(std::vector<chat::ThinkingSplitter::Piece>&& pieces, std::vector<Piece>& out);

  tokenizer::StreamDecoder decoder_;
  StopText stop_;
  chat::ThinkingSplitter splitter_;
  bool splits_;
};

}  // namespace hachi::output
