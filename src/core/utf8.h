// UTF-8 (RFC 3629): decoding with all checks (no surrogates, no overlong forms, nothing above
// U+10FFFF), encoding, and finding how much of a byte stream is whole characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hachi::inline core {

struct Utf8Char {
  uint32_t code_point;  // U+FFFD where the bytes are not UTF-8
  uint32_t length;      // bytes taken, at least 1; a wrong sequence takes its longest right prefix
  bool valid;
};

// The character at the start of `text`, which is not empty.
Utf8Char decode_utf8(std::string_view text);

void append_utf8(std::string& out, uint32_t code_point);

bool is_utf8(std::string_view text);

// `text` with each wrong sequence replaced by one U+FFFD, as WHATWG's decoder does.
std::string replace_invalid_utf8(std::string_view text);

// Bytes at the start of `text` that cannot change when more bytes follow: all but a last character
// that is right so far and not whole yet (at most 3 bytes).
size_t complete_utf8_prefix(std::string_view text);

}  // namespace hachi::inline core
