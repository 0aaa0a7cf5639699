// Writing JSON text straight into a string: what the parts of a response are made of. A stream
// writes one small object a token, so nothing here builds a tree or allocates beside the output.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hachi::api {

// `text` in quotes. Whatever the bytes are, the output is UTF-8: each wrong sequence becomes one
// U+FFFD. Only quotes, backslashes and characters below U+0020 are escaped.
void append_json_string(std::string& out, std::string_view text);

void append_integer(std::string& out, int64_t value);

// The shortest digits that read back as the same float; JSON has no infinities and no NaN, the
// caller keeps them away.
void append_float(std::string& out, float value);
void append_double(std::string& out, double value);

// RFC 4648 with padding, no quotes.
void append_base64(std::string& out, std::span<const uint8_t> bytes);

// One object, member by member. Keys are ours and need no escapes.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }

  ObjectWriter& text(std::string_view key, std::string_view value);
  // null if it is empty
  ObjectWriter& text_or_null(std::string_view key, std::string_view value);
  ObjectWriter& integer(std::string_view key, int64_t value);
  ObjectWriter& number(std::string_view key, double value);
  ObjectWriter& boolean(std::string_view key, bool value);
  ObjectWriter& null(std::string_view key);
  // `value` is JSON
  ObjectWriter& raw(std::string_view key, std::string_view value);
  // Begins a member whose value the caller appends.
  std::string& member(std::string_view key);

  void close() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

// Appends `,` before all but the first element of a list.
class Separator {
 public:
  void operator()(std::string& out) {
    if (!first_) out += ',';
    first_ = false;
  }

 private:
  bool first_ = true;
};

}  // namespace hachi::api
