// What EBNF and regular expressions share: escapes of characters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "grammar/char_set.h"

namespace hachi::grammar {

// The set of \d, \D, \w, \W, \s or \S. ASCII only, also where negated: dialects differ beyond it.
std::optional<CharSet> class_escape(char letter);

// The character that `text`, which begins after a backslash, names: n r t f v 0, xHH, uHHHH,
// u{H...}, or a punctuation character for itself. Moves `at` behind it; nothing if it is none of
// these.
std::optional<uint32_t> char_escape(std::string_view text, size_t& at);

// The number that begins at `at`, at most kMaxRepeat + 1 (larger ones are that); moves `at` behind
// it.
std::optional<int> read_count(std::string_view text, size_t& at);

// *, +, ?, {m}, {m,} or {m,n} at `at`, moved behind it. Nothing, and `at` stays, if there is none
// of these; a '{' there is then a malformed one.
struct Counts {
  int min;
  int max;  // or Rules::kUnbounded
};
std::optional<Counts> read_quantifier(std::string_view text, size_t& at);

// What is wrong with counts that were read; empty: nothing.
std::string wrong_with(const Counts& counts);

}  // namespace hachi::grammar
