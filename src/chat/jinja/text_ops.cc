#include "chat/jinja/text_ops.h"

#include <algorithm>
#include <cstring>

#include "core/utf8.h"

namespace hachi::chat::jinja {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr int64_t kRepeatBlockBytes = 4096;

bool is_continuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

// The start of the last character of `text`, which is not empty.
size_t last_char(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && is_continuation(text[at])) --at;
  return at;
}

bool contains_char(std::string_view chars, std::string_view character) {
  return find_bytes(chars, character) != kNone;
}

bool is_line_end(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

bool is_space(uint32_t c) {
  if (c < 0x80) return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string_view strip_left(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!is_space(c.code_point)) break;
    text.remove_prefix(c.length);
  }
  return text;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    const size_t at = last_char(text);
    if (!is_space(decode_utf8(text.substr(at)).code_point)) break;
    text = text.substr(0, at);
  }
  return text;
}

size_t count_chars(std::string_view text) {
  return text.size() -
         static_cast<size_t>(std::count_if(text.begin(), text.end(), is_continuation));
}

size_t byte_of_char(std::string_view text, size_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (is_continuation(text[at])) continue;
    if (index-- == 0) break;
  }
  return at;
}

size_t find_bytes(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return kNone;
  // memmem is linear where std::string_view::find multiplies the sizes.
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data()) : kNone;
}

size_t rfind_bytes(std::string_view text, std::string_view part) {
  const std::string backwards(text.rbegin(), text.rend());
  const size_t at = find_bytes(backwards, std::string(part.rbegin(), part.rend()));
  return at == kNone ? kNone : text.size() - at - part.size();
}

size_t count_occurrences(std::string_view text, std::string_view part) {
  if (part.empty()) return count_chars(text) + 1;
  size_t count = 0;
  for (size_t at = find_bytes(text, part); at != kNone;
       at = find_bytes(text, part, at + part.size())) {
    ++count;
  }
  return count;
}

Result<TextPtr> sub_text(Budget& budget, const Text& text, size_t begin, size_t end) {
  TextBuilder out(budget);
  out.append(text, begin, end);
  return out.finish();
}

Result<TextPtr> concat(Budget& budget, const Text& a, const Text& b) {
  TextBuilder out(budget);
  out.append(a);
  out.append(b);
  return out.finish();
}

Result<TextPtr> repeat(Budget& budget, const Text& text, int64_t times) {
  TextBuilder out(budget);
  if (text.bytes.empty()) return out.finish();
  if (times > 0 && static_cast<uint64_t>(times) > kMaxBytes / text.bytes.size()) {
    return Budget::too_much_text();
  }
  if (times <= 0) return out.finish();
  // By blocks: a text may be one byte.
  const int64_t per_block =
      std::clamp<int64_t>(kRepeatBlockBytes / static_cast<int64_t>(text.bytes.size()), 1, times);
  TRY(budget.spend_steps(static_cast<uint64_t>(per_block / 16 + times / per_block)));
  TextBuilder block(budget);
  for (int64_t i = 0; i < per_block; ++i) block.append(text);
  TRY(const TextPtr repeated, block.finish());
  for (int64_t i = 0; i < times / per_block; ++i) out.append(*repeated);
  for (int64_t i = 0; i < times % per_block; ++i) out.append(text);
  return out.finish();
}

Result<TextPtr> strip(Budget& budget, const Text& text, std::optional<std::string_view> chars,
                      bool left, bool right) {
  TRY(budget.spend_reading(text.bytes.size()));
  std::string_view rest = text.bytes;
  size_t begin = 0;
  if (!chars) {
    if (left) rest = strip_left(rest);
    begin = text.bytes.size() - rest.size();
    if (right) rest = strip_right(rest);
    return sub_text(budget, text, begin, begin + rest.size());
  }
  TRY(budget.spend_reading(chars->size()));
  while (left && !rest.empty()) {
    const size_t length = decode_utf8(rest).length;
    if (!contains_char(*chars, rest.substr(0, length))) break;
    TRY(budget.spend_reading(chars->size()));
    rest.remove_prefix(length);
    begin += length;
  }
  while (right && !rest.empty()) {
    const size_t at = last_char(rest);
    if (!contains_char(*chars, rest.substr(at))) break;
    TRY(budget.spend_reading(chars->size()));
    rest = rest.substr(0, at);
  }
  return sub_text(budget, text, begin, begin + rest.size());
}

Result<TextPtr> replace(Budget& budget, const Text& text, std::string_view old, const Text& by,
                        int64_t max_count) {
  TRY(budget.spend_reading(text.bytes.size()));
  TextBuilder out(budget);
  const std::string_view bytes = text.bytes;
  size_t at = 0;
  for (int64_t count = 0; max_count < 0 || count < max_count; ++count) {
    TRY(budget.spend_steps(1));
    if (old.empty()) {  // before each character and at the end
      out.append(by);
      if (at == bytes.size()) return out.finish();
      const size_t end = at + decode_utf8(bytes.substr(at)).length;
      out.append(text, at, end);
      at = end;
      continue;
    }
    const size_t found = find_bytes(bytes, old, at);
    if (found == kNone) break;
    out.append(text, at, found);
    out.append(by);
    at = found + old.size();
  }
  out.append(text, at, bytes.size());
  return out.finish();
}

Result<std::vector<TextPtr>> split(Budget& budget, const Text& text, std::string_view separator,
                                   int64_t max_splits) {
  TRY(budget.spend_reading(text.bytes.size()));
  std::vector<TextPtr> pieces;
  size_t at = 0;
  while (max_splits < 0 || static_cast<int64_t>(pieces.size()) < max_splits) {
    const size_t found = find_bytes(text.bytes, separator, at);
    if (found == kNone) break;
    TRY(budget.spend_steps(1));
    TRY(TextPtr piece, sub_text(budget, text, at, found));
    pieces.push_back(std::move(piece));
    at = found + separator.size();
  }
  TRY(TextPtr last, sub_text(budget, text, at, text.bytes.size()));
  pieces.push_back(std::move(last));
  return pieces;
}

Result<std::vector<TextPtr>> rsplit(Budget& budget, const Text& text, std::string_view separator,
                                    int64_t max_splits) {
  TRY(budget.spend_reading(2 * text.bytes.size()));
  const std::string backwards(text.bytes.rbegin(), text.bytes.rend());
  const std::string backward_separator(separator.rbegin(), separator.rend());
  std::vector<TextPtr> pieces;
  size_t end = text.bytes.size();
  while (max_splits < 0 || static_cast<int64_t>(pieces.size()) < max_splits) {
    const size_t found = find_bytes(backwards, backward_separator, text.bytes.size() - end);
    if (found == kNone) break;
    TRY(budget.spend_steps(1));
    const size_t separator_end = text.bytes.size() - found;
    TRY(TextPtr piece, sub_text(budget, text, separator_end, end));
    pieces.push_back(std::move(piece));
    end = separator_end - separator.size();
  }
  TRY(TextPtr first, sub_text(budget, text, 0, end));
  pieces.push_back(std::move(first));
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

Result<std::vector<TextPtr>> split_words(Budget& budget, const Text& text, int64_t max_splits) {
  TRY(budget.spend_reading(text.bytes.size()));
  std::vector<TextPtr> pieces;
  const std::string_view bytes = text.bytes;
  size_t at = bytes.size() - strip_left(bytes).size();
  while (at < bytes.size()) {
    size_t end = at;
    if (max_splits >= 0 && static_cast<int64_t>(pieces.size()) >= max_splits) {
      end = bytes.size();
    }
    while (end < bytes.size()) {
      const Utf8Char c = decode_utf8(bytes.substr(end));
      if (is_space(c.code_point)) break;
      end += c.length;
    }
    TRY(TextPtr piece, sub_text(budget, text, at, end));
    pieces.push_back(std::move(piece));
    at = bytes.size() - strip_left(bytes.substr(end)).size();
  }
  return pieces;
}

Result<std::vector<TextPtr>> split_lines(Budget& budget, const Text& text, bool keep_ends) {
  TRY(budget.spend_reading(text.bytes.size()));
  std::vector<TextPtr> pieces;
  const std::string_view bytes = text.bytes;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = decode_utf8(bytes.substr(at));
    const size_t line_end = at;
    at += c.length;
    const bool ends = is_line_end(c.code_point);
    if (!ends && at < bytes.size()) continue;
    if (c.code_point == '\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    TRY(TextPtr piece, sub_text(budget, text, begin, ends && !keep_ends ? line_end : at));
    pieces.push_back(std::move(piece));
    begin = at;
  }
  return pieces;
}

}  // namespace hachi::chat::jinja
