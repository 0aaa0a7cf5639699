#include "api/json_text.h"

#include <array>
#include <charconv>
#include <cstddef>

#include "core/utf8.h"

namespace hachi::api {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr char kHex[] = "0123456789abcdef";

// By byte: 0 if it stands for itself, the letter after the backslash, or 'u' for \u00XX.
constexpr std::array<char, 128> escapes() {
  std::array<char, 128> out = {};
  for (size_t byte = 0; byte < 0x20; ++byte) out[byte] = 'u';
  out['\b'] = 'b';
  out['\f'] = 'f';
  out['\n'] = 'n';
  out['\r'] = 'r';
  out['\t'] = 't';
  out['"'] = '"';
  out['\\'] = '\\';
  return out;
}
constexpr std::array<char, 128> kEscapes = escapes();

void append_escape(std::string& out, uint8_t byte) {
  const char letter = kEscapes[byte];
  out += '\\';
  out += letter;
  if (letter == 'u') {
    out += "00";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
}

template <class T>
void append_number(std::string& out, T value) {
  std::array<char, 32> digits;  // a double has at most 24
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), static_cast<size_t>(end - digits.data()));
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t written = 0;  // bytes of text that are in out
  size_t at = 0;
  while (at < text.size()) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte < 0x80 && kEscapes[byte] == 0) {
      ++at;
      continue;
    }
    size_t length = 1;
    if (byte >= 0x80) {
      const Utf8Char next = decode_utf8(text.substr(at));
      length = next.length;
      if (next.valid) {
        at += length;
        continue;
      }
    }
    out.append(text, written, at - written);
    if (byte < 0x80) {
      append_escape(out, byte);
    } else {
      out += kReplacement;
    }
    at += length;
    written = at;
  }
  out.append(text, written);
  out += '"';
}

void append_integer(std::string& out, int64_t value) { append_number(out, value); }
void append_float(std::string& out, float value) { append_number(out, value); }
void append_double(std::string& out, double value) { append_number(out, value); }

void append_base64(std::string& out, std::span<const uint8_t> bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t left = bytes.size() - at;
    const uint32_t group = static_cast<uint32_t>(bytes[at]) << 16 |
                           (left > 1 ? static_cast<uint32_t>(bytes[at + 1]) << 8 : 0u) |
                           (left > 2 ? static_cast<uint32_t>(bytes[at + 2]) : 0u);
    out += kDigits[group >> 18];
    out += kDigits[group >> 12 & 63];
    out += left > 1 ? kDigits[group >> 6 & 63] : '=';
    out += left > 2 ? kDigits[group & 63] : '=';
  }
}

std::string& ObjectWriter::member(std::string_view key) {
  if (!first_) out_ += ',';
  first_ = false;
  out_ += '"';
  out_ += key;
  out_ += "\":";
  return out_;
}

ObjectWriter& ObjectWriter::text(std::string_view key, std::string_view value) {
  append_json_string(member(key), value);
  return *this;
}

ObjectWriter& ObjectWriter::text_or_null(std::string_view key, std::string_view value) {
  return value.empty() ? null(key) : text(key, value);
}

ObjectWriter& ObjectWriter::integer(std::string_view key, int64_t value) {
  append_integer(member(key), value);
  return *this;
}

ObjectWriter& ObjectWriter::number(std::string_view key, double value) {
  append_double(member(key), value);
  return *this;
}

ObjectWriter& ObjectWriter::boolean(std::string_view key, bool value) {
  return raw(key, value ? "true" : "false");
}

ObjectWriter& ObjectWriter::null(std::string_view key) { return raw(key, "null"); }

ObjectWriter& ObjectWriter::raw(std::string_view key, std::string_view value) {
  member(key) += value;
  return *this;
}

}  // namespace hachi::api
