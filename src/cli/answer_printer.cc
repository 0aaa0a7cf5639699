#include "cli/answer_printer.h"

#include <cstdio>

#include <fmt/format.h>

namespace hachi::cli {
namespace {

void write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

void AnswerPrinter::print(bool thinking, std::string_view text) {
  if (thinking && !thinking_) begin_thinking();
  if (!thinking && thinking_) end_thinking();
  if (!thinking) {
    terminal_ ? write(printable(text)) : write(text);
  } else if (terminal_ && show_thinking_) {
    write(printable(text));
  }
}

void AnswerPrinter::finish() {
  if (thinking_) end_thinking();
  write("\n");
}

void AnswerPrinter::begin_thinking() {
  thinking_ = true;
  clock_.restart();
  if (!terminal_) return;
  write(style_.dim);
  if (!show_thinking_) write("thinking …");
}

void AnswerPrinter::end_thinking() {
  thinking_ = false;
  if (!terminal_) return;
  if (!show_thinking_) {
    write(fmt::format("\r\033[Kthought for {:.1f} s (/think on shows it)", clock_.seconds()));
  }
  write(style_.reset);
  write("\n");
}

}  // namespace hachi::cli
