#include "cli/terminal.h"

#include <cstdlib>
#include <unistd.h>

#include <fmt/format.h>

#include "core/utf8.h"

namespace hachi::cli {
namespace {

constexpr double kSilentSeconds = 0.5;

// C0 (but tab and newline), DEL and C1.
bool is_control(uint32_t c) {
  return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
}

}  // namespace

bool is_terminal(FILE* stream) { return ::isatty(::fileno(stream)) == 1; }

Style Style::of(FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool wanted = no_color == nullptr || *no_color == '\0';
  if (!wanted || !is_terminal(stream)) return {};
  return {"\033[2m", "\033[1m", "\033[0m"};
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!is_control(c.code_point)) out.append(text.substr(0, c.length));
    text.remove_prefix(c.length);
  }
  return out;
}

ProgressLine::ProgressLine(std::string_view what, bool quiet)
    : what_(what), enabled_(!quiet && is_terminal(stderr)) {}

void ProgressLine::update(int64_t done, int64_t total) {
  if (!enabled_ || clock_.seconds() < kSilentSeconds) return;
  fmt::print(stderr, "\r\033[K{}  {}/{}", what_, done, total);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressLine::erase() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace hachi::cli
