#include "grammar/class_escapes.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

#include <fmt/format.h>

#include "grammar/rules.h"

namespace hachi::grammar {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_surrogate(uint32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

std::optional<uint32_t> read_hex(std::string_view text, size_t& at, size_t digits) {
  if (digits == 0 || digits > 6 || digits > text.size() - at) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int digit = hex_digit(text[at + i]);
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  if (value > 0x10FFFF || is_surrogate(value)) return std::nullopt;
  at += digits;
  return value;
}

}  // namespace

std::optional<CharSet> class_escape(char letter) {
  const CharSet ascii = {{0, 0x7F}};
  const CharSet digits = {{'0', '9'}};
  const CharSet word = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  const CharSet space = {{'\t', '\r'}, {' ', ' '}};
  // Python, unlike JavaScript, counts these among its spaces too.
  const CharSet separators = {{0x1C, 0x1F}};
  switch (letter) {
    case 'd':
      return digits;
    case 'D':
      return ascii.minus(digits);
    case 'w':
      return word;
    case 'W':
      return ascii.minus(word);
    case 's':
      return space;
    case 'S':
      return ascii.minus(space).minus(separators);
    default:
      return std::nullopt;
  }
}

std::optional<uint32_t> char_escape(std::string_view text, size_t& at) {
  if (at >= text.size()) return std::nullopt;
  const char c = text[at++];
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case '0':
      if (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) break;
      return 0;
    case 'x':
      return read_hex(text, at, 2);
    case 'u': {
      if (at >= text.size() || text[at] != '{') return read_hex(text, at, 4);
      const size_t close = text.find('}', at);
      if (close == text.npos) return std::nullopt;
      const size_t digits = close - at - 1;
      ++at;
      const auto value = read_hex(text, at, digits);
      if (value) ++at;
      return value;
    }
    default:
      if (std::ispunct(static_cast<unsigned char>(c)) || c == ' ') return static_cast<uint8_t>(c);
  }
  return std::nullopt;
}

std::optional<int> read_count(std::string_view text, size_t& at) {
  const size_t begin = at;
  int value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = std::min(value * 10 + (text[at] - '0'), kMaxRepeat + 1);
  }
  if (at == begin) return std::nullopt;
  return value;
}

namespace {

// Of {m}, {m,} or {m,n}.
std::optional<Counts> braced_counts(std::string_view text, size_t& at) {
  size_t i = at + 1;
  const auto min = read_count(text, i);
  if (!min || i >= text.size()) return std::nullopt;
  Counts counts{*min, *min};
  if (text[i] == ',') {
    ++i;
    counts.max = read_count(text, i).value_or(Rules::kUnbounded);
  }
  if (i >= text.size() || text[i] != '}') return std::nullopt;
  at = i + 1;
  return counts;
}

}  // namespace

std::optional<Counts> read_quantifier(std::string_view text, size_t& at) {
  const char c = at < text.size() ? text[at] : '\0';
  if (c == '{') return braced_counts(text, at);
  if (c != '*' && c != '+' && c != '?') return std::nullopt;
  ++at;
  return Counts{c == '+' ? 1 : 0, c == '?' ? 1 : Rules::kUnbounded};
}

std::string wrong_with(const Counts& counts) {
  if (counts.min > kMaxRepeat || counts.max > kMaxRepeat) {
    return fmt::format("a count is above the {} allowed", kMaxRepeat);
  }
  if (counts.max != Rules::kUnbounded && counts.max < counts.min) {
    return "the second count is below the first";
  }
  return "";
}

}  // namespace hachi::grammar
