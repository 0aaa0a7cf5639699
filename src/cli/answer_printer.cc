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

void AnswerPrinter::print(const output::Piece& piece) {
  if (piece.is_thinking() && !thinking_) begin_thinking();
  if (!piece.is_thinking() && thinking_) end_thinking();
  if (piece.field == output::Field::kContent) {
    has_content_ = true;
    terminal_ ? write(printable(piece.text)) : write(piece.text);
  } else if (!piece.is_thinking()) {
    has_calls_ = true;
  } else if (terminal_ && show_thinking_) {
    write(printable(piece.text));
  }
}

void AnswerPrinter::finish() {
  if (thinking_) end_thinking();
  if (has_content_ || !has_calls_) write("\n");
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
