// The letters that GPT-2's byte-level vocabularies write bytes with: printable Latin-1 characters
// stand for themselves, the other 68 bytes for U+0100 and up in order.
// Source: Radford et al. 2019, the table "bytes_to_unicode" of GPT-2's released code.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/utf8.h"

namespace hachi::tokenizer {

struct ByteLetters {
  std::array<uint16_t, 256> letter;  // of each byte, a code point
  std::array<int16_t, 0x144> byte;   // of each code point, or -1
};

inline constexpr ByteLetters kByteLetters = [] {
  ByteLetters table{};
  for (auto& byte : table.byte) byte = -1;
  uint16_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool itself = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    const uint16_t letter = itself ? static_cast<uint16_t>(b) : next++;
    table.letter[static_cast<size_t>(b)] = letter;
    table.byte[letter] = static_cast<int16_t>(b);
  }
  return table;
}();

// Bytes as letters.
inline std::string to_letters(std::string_view bytes) {
  std::string letters;
  letters.reserve(bytes.size() * 2);
  for (const char c : bytes) append_utf8(letters, kByteLetters.letter[static_cast<uint8_t>(c)]);
  return letters;
}

// Letters as bytes, appended; false, and nothing appended, if a character is no such letter.
inline bool append_bytes(std::string_view letters, std::string& out) {
  const size_t start = out.size();
  while (!letters.empty()) {
    const Utf8Char c = decode_utf8(letters);
    if (c.code_point >= kByteLetters.byte.size() || kByteLetters.byte[c.code_point] < 0) {
      out.resize(start);
      return false;
    }
    out += static_cast<char>(kByteLetters.byte[c.code_point]);
    letters.remove_prefix(c.length);
  }
  return true;
}

}  // namespace hachi::tokenizer
