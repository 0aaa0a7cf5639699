// AnswerPrinter: an answer on standard output as it comes.
#pragma once

#include <string_view>

#include "cli/terminal.h"
#include "core/clock.h"
#include "output/fields.h"

namespace hachi::cli {

// A terminal gets the thinking dimmed (or folded into one line) before the answer, and nothing that
// could drive it. A pipe or a file gets the answer alone, byte for byte. Calls are printed by who
// asked for them.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(bool show_thinking) : show_thinking_(show_thinking) {}

  void print(const output::Piece& piece);
  // Ends the line, unless the answer is calls alone.
  void finish();

 private:
  void begin_thinking();
  void end_thinking();

  bool show_thinking_;
  bool terminal_ = is_terminal(stdout);
  Style style_ = Style::of(stdout);
  bool thinking_ = false;
  bool has_content_ = false;
  bool has_calls_ = false;
  Stopwatch clock_;
};

}  // namespace hachi::cli
