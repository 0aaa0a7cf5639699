#include "tokenizer/split_scanners.h"

#include <algorithm>

#include "core/utf8.h"
#include "tokenizer/char_class.h"

namespace hachi::tokenizer {
namespace {

struct Char {
  uint32_t code_point = 0;
  CharClass kind = CharClass::kOther;
  size_t end = 0;  // where the next character begins; the text's size for what is past its end
};

// Reads characters with their classes; at the end of the text, a Char of kOther with length 0.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), classes_(CharClasses::get()) {}

  Char at(size_t position) const {
    if (position >= text_.size()) return {0, CharClass::kOther, text_.size()};
    const auto byte = static_cast<uint8_t>(text_[position]);
    if (byte < 0x80) return {byte, classes_.of(byte), position + 1};
    const Utf8Char c = decode_utf8(text_.substr(position));
    return {c.code_point, classes_.of(c.code_point), position + c.length};
  }
  size_t size() const { return text_.size(); }

  // The end of the run of characters from `position` on that satisfy `wanted`.
  template <class Wanted>
  size_t run(size_t position, Wanted wanted) const {
    while (position < text_.size()) {
      const Char c = at(position);
      if (!wanted(c)) break;
      position = c.end;
    }
    return position;
  }

 private:
  std::string_view text_;
  const CharClasses& classes_;
};

bool is_letter(const Char& c) { return c.kind == CharClass::kLetter; }
bool is_number(const Char& c) { return c.kind == CharClass::kNumber; }
bool is_space(const Char& c) { return c.kind == CharClass::kSpace; }
bool is_newline(const Char& c) { return c.code_point == '\r' || c.code_point == '\n'; }
bool is_letter_or_mark(const Char& c) { return is_letter(c) || c.kind == CharClass::kMark; }
bool is_symbol(const Char& c) {
  return c.kind == CharClass::kPunctuation || c.kind == CharClass::kSymbol;
}
// [^\s\p{L}\p{N}]
bool is_rest(const Char& c) { return !is_space(c) && !is_letter(c) && !is_number(c); }

// The end of 's 't 're 've 'm 'll or 'd at `begin`, where an apostrophe stands; or `begin`.
size_t scan_contraction(const Reader& reader, size_t begin, bool any_case) {
  const auto fold = [&](const Char& c) -> uint32_t {
    if (!any_case) return c.code_point;
    if (c.code_point >= 'A' && c.code_point <= 'Z') return c.code_point + 32;
    return c.code_point == 0x17F ? 's' : c.code_point;  // U+017F, the long s, folds to s
  };
  const Char first = reader.at(begin + 1);
  const uint32_t a = fold(first);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return first.end;
  const Char second = reader.at(first.end);
  const uint32_t b = fold(second);
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) {
    return second.end;
  }
  return begin;
}

// \s+(?!\S)|\s+ at `begin`, where white space stands: the last character of a run goes with the
// word that follows it, unless it is the only one.
size_t scan_space(const Reader& reader, size_t begin) {
  size_t last = begin;
  size_t end = begin;
  while (end < reader.size()) {
    const Char c = reader.at(end);
    if (!is_space(c)) return last > begin ? last : end;
    last = end;
    end = c.end;
  }
  return end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ : a run with line ends in it goes up to the last of them.
size_t scan_space_or_lines(const Reader& reader, size_t begin) {
  size_t after_newline = begin;
  reader.run(begin, [&](const Char& c) {
    if (is_newline(c)) after_newline = c.end;
    return is_space(c);
  });
  return after_newline > begin ? after_newline : scan_space(reader, begin);
}

size_t scan_gpt2(std::string_view text, size_t begin) {
  const Reader reader(text);
  Char c = reader.at(begin);
  if (c.code_point == '\'') {
    const size_t end = scan_contraction(reader, begin, false);
    if (end > begin) return end;
  }
  if (c.code_point == ' ' && c.end < text.size() && !is_space(reader.at(c.end))) {
    c = reader.at(c.end);
  }
  if (is_letter(c)) return reader.run(c.end, is_letter);
  if (is_number(c)) return reader.run(c.end, is_number);
  if (is_rest(c)) return reader.run(c.end, is_rest);
  return scan_space(reader, begin);
}

// Qwen 2 and Llama 3 differ in how many digits stand together.
template <int kMaxDigits>
size_t scan_words(std::string_view text, size_t begin) {
  const Reader reader(text);
  Char c = reader.at(begin);
  if (is_letter(c)) return reader.run(c.end, is_letter);
  if (c.code_point == '\'') {
    const size_t end = scan_contraction(reader, begin, true);
    if (end > begin) return end;
  }
  if (is_number(c)) {
    size_t end = c.end;
    for (int digits = 1; digits < kMaxDigits; ++digits) {
      const Char next = reader.at(end);
      if (!is_number(next)) break;
      end = next.end;
    }
    return end;
  }
  const Char next = reader.at(c.end);
  if (!is_newline(c) && is_letter(next)) return reader.run(next.end, is_letter);
  if (c.code_point == ' ' && c.end < text.size() && is_rest(next)) c = next;
  if (is_rest(c)) return reader.run(reader.run(c.end, is_rest), is_newline);
  return scan_space_or_lines(reader, begin);
}

bool is_ascii_letter(const Char& c) {
  return (c.code_point | 32) >= 'a' && (c.code_point | 32) <= 'z' && c.code_point < 0x80;
}

// The end of what kDeepSeekWords matches at `begin`, or `begin` if it does not match there.
size_t match_deepseek_words(const Reader& reader, size_t begin) {
  Char c = reader.at(begin);
  const Char next = reader.at(c.end);
  if (is_symbol(c) && c.code_point < 0x80 && is_ascii_letter(next)) {
    return reader.run(next.end, is_ascii_letter);
  }
  if (is_letter_or_mark(c)) return reader.run(c.end, is_letter_or_mark);
  if (!is_symbol(c) && !is_newline(c) && is_letter_or_mark(next)) {
    return reader.run(next.end, is_letter_or_mark);
  }
  if (c.code_point == ' ' && is_symbol(next)) c = next;
  if (is_symbol(c)) return reader.run(reader.run(c.end, is_symbol), is_newline);
  return is_space(c) ? scan_space_or_lines(reader, begin) : begin;
}

size_t scan_deepseek_words(std::string_view text, size_t begin) {
  const Reader reader(text);
  size_t end = match_deepseek_words(reader, begin);
  if (end > begin) return end;
  while (end < text.size() && match_deepseek_words(reader, end) == end) end = reader.at(end).end;
  return end;
}

// [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]
bool is_deepseek_cjk(const Char& c) {
  return (c.code_point >= 0x4E00 && c.code_point <= 0x9FA5) ||
         (c.code_point >= 0x3040 && c.code_point <= 0x30FF);
}

size_t scan_deepseek_cjk(std::string_view text, size_t begin) {
  const Reader reader(text);
  const bool wanted = is_deepseek_cjk(reader.at(begin));
  return reader.run(begin, [&](const Char& c) { return is_deepseek_cjk(c) == wanted; });
}

// Numbers in groups of at most `most` characters, and what lies between them.
size_t scan_number_groups(std::string_view text, size_t begin, size_t most) {
  const Reader reader(text);
  if (!is_number(reader.at(begin))) {
    return reader.run(begin, [](const Char& c) { return !is_number(c); });
  }
  size_t count = 0;
  return reader.run(begin, [&](const Char& c) { return count++ < most && is_number(c); });
}

size_t scan_deepseek_numbers(std::string_view text, size_t begin) {
  return scan_number_groups(text, begin, 3);
}

}  // namespace

size_t scan_single_digits(std::string_view text, size_t begin) {
  return scan_number_groups(text, begin, 1);
}

size_t scan_digit_runs(std::string_view text, size_t begin) {
  return scan_number_groups(text, begin, text.size());
}

ScanPiece find_scanner(std::string_view regex) {
  struct Known {
    std::string_view regex;
    ScanPiece scan;
  };
  static constexpr Known kKnown[] = {
      {kGpt2Split, scan_gpt2},           {kQwen2Split, scan_words<1>},
      {kLlama3Split, scan_words<3>},     {kDeepSeekNumbers, scan_deepseek_numbers},
      {kDeepSeekCjk, scan_deepseek_cjk}, {kDeepSeekWords, scan_deepseek_words},
  };
  const auto known = std::find_if(std::begin(kKnown), std::end(kKnown),
                                  [&](const Known& k) { return k.regex == regex; });
  return known == std::end(kKnown) ? nullptr : known->scan;
}

}  // namespace hachi::tokenizer
