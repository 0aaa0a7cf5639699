// Python's operations on strings, for texts with marks. Positions are bytes unless a name says
// characters; all cuts fall between characters.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "chat/jinja/text.h"

namespace hachi::chat::jinja {

// What Python's str.isspace() says of a character.
bool is_space(uint32_t code_point);
// `text` without white space at its start, or its end.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);

size_t count_chars(std::string_view text);
// The byte where character `index` starts, or the size if there are not so many.
size_t byte_of_char(std::string_view text, size_t index);

// Where `part` is in `text` from byte `from` on; npos if it is not. Linear in both sizes.
size_t find_bytes(std::string_view text, std::string_view part, size_t from = 0);
size_t rfind_bytes(std::string_view text, std::string_view part);
// Occurrences that do not overlap; of the empty text, one at each border of a character.
size_t count_occurrences(std::string_view text, std::string_view part);

Result<TextPtr> sub_text(Budget& budget, const Text& text, size_t begin, size_t end);
Result<TextPtr> concat(Budget& budget, const Text& a, const Text& b);
// Fails before it makes anything if the result would be too long.
Result<TextPtr> repeat(Budget& budget, const Text& text, int64_t times);
// Without the characters of `chars` (white space if none) at the sides asked for.
Result<TextPtr> strip(Budget& budget, const Text& text, std::optional<std::string_view> chars,
                      bool left, bool right);
// At most `max_count` replacements where it is not negative.
Result<TextPtr> replace(Budget& budget, const Text& text, std::string_view old, const Text& by,
                        int64_t max_count);

// The pieces between separators, at most `max_splits` + 1 of them where that is not negative.
// `separator` is not empty.
Result<std::vector<TextPtr>> split(Budget& budget, const Text& text, std::string_view separator,
                                   int64_t max_splits);
// The same, with the splits counted from the end.
Result<std::vector<TextPtr>> rsplit(Budget& budget, const Text& text, std::string_view separator,
                                    int64_t max_splits);
// The pieces between runs of white space.
Result<std::vector<TextPtr>> split_words(Budget& budget, const Text& text, int64_t max_splits);
Result<std::vector<TextPtr>> split_lines(Budget& budget, const Text& text, bool keep_ends);

// Letter by letter: characters whose other case is several letters stay as they are.
Result<TextPtr> upper(Budget& budget, const Text& text);
Result<TextPtr> lower(Budget& budget, const Text& text);
// The first character in upper case, the others in lower case.
Result<TextPtr> capitalize(Budget& budget, const Text& text);
// Each word capitalized. Python's method lets a word begin at each letter after what is not one;
// Jinja's filter only after white space, "-", "(", "{", "[" and "<".
enum class Words { kOfLetters, kBetweenSeparators };
Result<TextPtr> title(Budget& budget, const Text& text, Words words);
// With & < > ' " as HTML's entities.
Result<TextPtr> escape_html(Budget& budget, const Text& text);
Result<TextPtr> reverse(Budget& budget, const Text& text);

}  // namespace hachi::chat::jinja
