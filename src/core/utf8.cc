#include "core/utf8.h"

#include <algorithm>
#include <cstring>

namespace hachi::inline core {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

struct Lead {
  uint32_t length;     // bytes of the whole character; 0 if no character starts with this byte
  uint8_t second_min;  // the range that the second byte must lie in (the third and fourth are
  uint8_t second_max;  // always 80..BF)
};

// Table 3-7 of the Unicode standard, "Well-formed UTF-8 byte sequences".
Lead lead(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many bytes of `text` agree with the form that `form` announces, at most all of it.
uint32_t right_prefix(std::string_view text, const Lead& form) {
  uint32_t at = 1;
  const auto end = std::min<size_t>(form.length, text.size());
  while (at < end) {
    const auto byte = static_cast<uint8_t>(text[at]);
    const uint8_t low = at == 1 ? form.second_min : 0x80;
    const uint8_t high = at == 1 ? form.second_max : 0xBF;
    if (byte < low || byte > high) break;
    ++at;
  }
  return at;
}

// Bytes of ASCII at the start of `text`, by whole words of 8.
size_t ascii_prefix(std::string_view text) {
  size_t at = 0;
  for (uint64_t word = 0; at + sizeof(word) <= text.size(); at += sizeof(word)) {
    std::memcpy(&word, text.data() + at, sizeof(word));
    if ((word & 0x8080808080808080) != 0) break;
  }
  return at;
}

}  // namespace

Utf8Char decode_utf8(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return {first, 1, true};
  const Lead form = lead(first);
  if (form.length == 0) return {kReplacement, 1, false};
  const uint32_t right = right_prefix(text, form);
  if (right < form.length) return {kReplacement, right, false};
  uint32_t code_point = first & (0x7Fu >> form.length);
  for (uint32_t i = 1; i < form.length; ++i) {
    code_point = code_point << 6 | (static_cast<uint8_t>(text[i]) & 0x3Fu);
  }
  return {code_point, form.length, true};
}

void append_utf8(std::string& out, uint32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = kReplacement;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(ascii_prefix(text));
    if (text.empty()) break;
    const Utf8Char c = decode_utf8(text);
    if (!c.valid) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.valid) {
      out.append(text.substr(0, c.length));
    } else {
      append_utf8(out, kReplacement);
    }
    text.remove_prefix(c.length);
  }
  return out;
}

size_t complete_utf8_prefix(std::string_view text) {
  const size_t longest_tail = std::min<size_t>(3, text.size());
  for (size_t tail = 1; tail <= longest_tail; ++tail) {
    const size_t start = text.size() - tail;
    const Lead form = lead(static_cast<uint8_t>(text[start]));
    if (form.length <= tail) continue;
    if (right_prefix(text.substr(start), form) == tail) return start;
  }
  return text.size();
}

}  // namespace hachi::inline core
