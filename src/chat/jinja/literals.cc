#include "chat/jinja/literals.h"

#include <charconv>

#include "core/utf8.h"

namespace hachi::chat::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The end of a run of digits from `at` on, which may have single underscores between them.
size_t digits_end(std::string_view text, size_t at) {
  while (at < text.size() &&
         (is_digit(text[at]) || (text[at] == '_' && at + 1 < text.size() &&
                                 is_digit(text[at + 1]) && at > 0 && is_digit(text[at - 1])))) {
    ++at;
  }
  return at;
}

struct Escape {
  char letter;
  char value;
};
constexpr Escape kEscapes[] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'\\', '\\'}, {'\'', '\''},
                               {'"', '"'},  {'a', '\a'}, {'b', '\b'}, {'f', '\f'},  {'v', '\v'}};

// Decodes \xhh, \uhhhh and \Uhhhhhhhh, whose digits begin at `at`.
Result<uint32_t> hex_escape(std::string_view literal, size_t at, size_t digits) {
  uint32_t code_point = 0;
  const std::string_view hex = literal.substr(at, digits);
  const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code_point, 16);
  const bool is_char = code_point <= 0x10FFFF && !(code_point >= 0xD800 && code_point < 0xE000);
  if (error != std::errc() || end != hex.data() + digits || !is_char) {
    return fail(Code::kInvalidArgument, "the escape \"\\{}\" in a string is not a character",
                literal.substr(at - 1, digits + 1));
  }
  return code_point;
}

}  // namespace

NumberLiteral scan_number(std::string_view text, bool may_be_float) {
  NumberLiteral out{digits_end(text, 0), true, false, 0, 0};
  const auto next = [&](size_t at) { return at < text.size() ? text[at] : '\0'; };
  if (may_be_float) {
    if (next(out.length) == '.' && is_digit(next(out.length + 1))) {
      out.is_float = true;
      out.length = digits_end(text, out.length + 1);
    }
    if (next(out.length) == 'e' || next(out.length) == 'E') {
      const size_t sign = next(out.length + 1) == '+' || next(out.length + 1) == '-' ? 1 : 0;
      if (is_digit(next(out.length + 1 + sign))) {
        out.is_float = true;
        out.length = digits_end(text, out.length + 1 + sign);
      }
    }
  }
  std::string digits;
  for (const char c : text.substr(0, out.length)) {
    if (c != '_') digits += c;
  }
  const char* const end = digits.data() + digits.size();
  const auto parsed = out.is_float ? std::from_chars(digits.data(), end, out.number)
                                   : std::from_chars(digits.data(), end, out.integer);
  const bool leading_zero =
      !out.is_float && digits[0] == '0' && digits.find_first_not_of('0') != std::string::npos;
  out.valid = parsed.ec == std::errc() && parsed.ptr == end && !leading_zero;
  return out;
}

Result<std::string> unescape(std::string_view literal) {
  std::string out;
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] != '\\' || i + 1 == literal.size()) {
      out += literal[i];
      continue;
    }
    const char c = literal[++i];
    if (c == '\n') continue;
    const size_t hex_digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (hex_digits > 0) {
      TRY(const uint32_t code_point, hex_escape(literal, i + 1, hex_digits));
      append_utf8(out, code_point);
      i += hex_digits;
      continue;
    }
    if (c >= '0' && c <= '7') {
      uint32_t code_point = 0;
      size_t end = i;
      while (end < literal.size() && end < i + 3 && literal[end] >= '0' && literal[end] <= '7') {
        code_point = code_point * 8 + static_cast<uint32_t>(literal[end++] - '0');
      }
      append_utf8(out, code_point);
      i = end - 1;
      continue;
    }
    bool known = false;
    for (const Escape& escape : kEscapes) {
      if (escape.letter != c) continue;
      out += escape.value;
      known = true;
    }
    if (!known) {
      out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace hachi::chat::jinja
