// FieldSplitter: the text of an answer, as it comes, apart into the fields that it goes out in:
// reasoning, content, tool calls. Byte by byte, so the cuts of the text do not matter.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/families.h"
#include "chat/tool_call_parser.h"

namespace hachi::output {

enum class Field {
  kReasoning,
  kContent,
  kCallName,       // whole: a call begins
  kCallArguments,  // a part of its JSON text
};

struct Piece {
  Field field;
  std::string text;
  int call = 0;  // of the answer's calls, from 0

  bool is_thinking() const { return field == Field::kReasoning; }
};

struct FieldOptions {
  std::string_view prompt;     // what the model goes on from: it may have begun the thinking
  bool split_thinking = true;  // false: marks of thinking are content
  std::optional<chat::ToolStyle> calls;  // none: calls are content
};

class FieldSplitter {
 public:
  explicit FieldSplitter(const FieldOptions& options);

  // Appends what is settled once `text` has come.
  void push(std::string_view text, std::vector<Piece>& out);
  // The end of the text: what was held back.
  void finish(std::vector<Piece>& out);

  bool is_thinking() const { return splits_ && thinking_.is_thinking(); }
  // Nothing has come but white space, and the prompt has no marks: thinking may begin.
  bool may_think() const { return splits_ && thinking_.is_at_start(); }
  bool in_call() const { return calls_ && calls_->in_call(); }
  int num_calls() const { return calls_ ? calls_->num_calls() : 0; }
  // After finish(): the text ended within a call.
  bool is_broken_off() const { return calls_ && calls_->is_broken_off(); }

  // The bytes at the end that may be the beginning of a mark: of one that ends the thinking while
  // is_thinking(), else of one that begins a call.
  std::string_view held() const;

  // Of the last push: the part behind the thinking.
  std::string_view new_answer() const { return new_answer_; }
  // Of the last push: what follows the trigger of a call that it completed; none if it did not.
  const std::optional<std::string>& new_call() const { return new_call_; }

 private:
  void pass(std::vector<chat::ThinkingSplitter::Piece>&& pieces, std::vector<Piece>& out);
  void push_answer(std::string_view text, std::vector<Piece>& out);
  void append_calls(std::vector<Piece>& out);

  bool splits_;
  chat::ThinkingSplitter thinking_;
  std::optional<chat::ToolCallParser> calls_;
  std::string new_answer_;
  std::optional<std::string> new_call_;
  std::vector<chat::ToolCallParser::Piece> parsed_;  // empty between calls
};

}  // namespace hachi::output
