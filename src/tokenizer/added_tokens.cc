#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>

#include <utf8proc.h>

#include "core/utf8.h"
#include "tokenizer/char_class.h"

namespace hachi::tokenizer {
namespace {

// The last character of `text`, which is UTF-8 and not empty.
Utf8Char last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return decode_utf8(text.substr(at));
}

bool is_space(uint32_t c) { return CharClasses::get().of(c) == CharClass::kSpace; }

// Alphabetic, marks, decimal numbers, connector punctuation and the two joiners. The circled and
// squared letters are the symbols that count as alphabetic.
bool is_word(uint32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
             (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
             (c >= 0x1F170 && c <= 0x1F189);
  }
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.text < b.text; });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    Range& range = by_first_byte_[static_cast<uint8_t>(tokens_[i].text[0])];
    if (range.begin == range.end) range.begin = i;
    range.end = i + 1;
  }
  if (!tokens_.empty() && tokens_.front().text[0] == tokens_.back().text[0]) {
    only_first_byte_ = static_cast<uint8_t>(tokens_[0].text[0]);
  }
}

size_t AddedTokenFinder::candidate(std::string_view text, size_t from) const {
  if (tokens_.empty() || from >= text.size()) return text.size();
  if (only_first_byte_ >= 0) {
    const void* hit = std::memchr(text.data() + from, only_first_byte_, text.size() - from);
    if (hit == nullptr) return text.size();
    return static_cast<size_t>(static_cast<const char*>(hit) - text.data());
  }
  while (from < text.size()) {
    const Range range = by_first_byte_[static_cast<uint8_t>(text[from])];
    if (range.begin < range.end) break;
    ++from;
  }
  return from;
}

AddedTokenFinder::Range AddedTokenFinder::narrow(Range range, size_t depth, char byte) const {
  const auto first = tokens_.begin();
  const auto value = static_cast<uint8_t>(byte);
  const auto low = std::partition_point(
      first + static_cast<ptrdiff_t>(range.begin), first + static_cast<ptrdiff_t>(range.end),
      [&](const AddedToken& token) { return static_cast<uint8_t>(token.text[depth]) < value; });
  const auto high = std::partition_point(
      low, first + static_cast<ptrdiff_t>(range.end),
      [&](const AddedToken& token) { return static_cast<uint8_t>(token.text[depth]) <= value; });
  return {static_cast<size_t>(low - first), static_cast<size_t>(high - first)};
}

size_t trailing_space(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Utf8Char c = last_character(text.substr(0, text.size() - bytes));
    if (!is_space(c.code_point)) break;
    bytes += c.length;
  }
  return bytes;
}

size_t leading_space(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Utf8Char c = decode_utf8(text.substr(bytes));
    if (!is_space(c.code_point)) break;
    bytes += c.length;
  }
  return bytes;
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word(last_character(text).code_point);
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(decode_utf8(text).code_point);
}

}  // namespace hachi::tokenizer
