// What the programs write to people: colours only on a terminal, progress that erases itself, and
// text of models and files without the control characters that could drive the terminal.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace hachi::cli {

bool is_terminal(FILE* stream);

// Sequences that dim and undim, or nothing if `stream` is not a terminal or NO_COLOR is set.
struct Style {
  std::string_view dim;
  std::string_view bold;
  std::string_view reset;

  static Style of(FILE* stream);
};

// `text` without control characters but tab and newline: a model's words cannot move the cursor,
// retitle the window or hide what stands there.
std::string printable(std::string_view text);

// A line such as "reading the prompt  512/2048" on standard error, drawn over itself and erased at
// the end. Silent unless standard error is a terminal, and in the first half second.
class ProgressLine {
 public:
  ProgressLine(std::string_view what, bool quiet);
  ~ProgressLine() { erase(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(int64_t done, int64_t total);
  void erase();

 private:
  std::string what_;
  bool enabled_;
  bool drawn_ = false;
  Stopwatch clock_;
};

}  // namespace hachi::cli
