// Splits a template into the text between tags and the tokens inside of them. White space around
// tags is settled here, as Jinja does with trim_blocks and lstrip_blocks on: the newline after a
// block tag or comment goes, and so do the blanks before one that begins a line; "-" inside a tag
// strips all white space on its side, "+" keeps it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::chat::jinja {

inline constexpr size_t kMaxSourceBytes = size_t{256} << 10;

enum class TokenKind {
  kText,           // between tags
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,  // of the template
};

struct Token {
  TokenKind kind;
  int line;
  std::string text;  // of a string: with its escapes resolved
  int64_t integer = 0;
  double number = 0;
};

// The tokens of `source`, the last of them kEnd. Comments are gone.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace hachi::chat::jinja
