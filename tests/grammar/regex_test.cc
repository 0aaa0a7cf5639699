#include "grammar/regex.h"

#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "grammar/small_vocabulary.h"

namespace hachi::grammar {
namespace {

TEST(Regex, AgreesWithTheStandardLibrary) {
  const std::vector<std::string> patterns = {
      "a",          "abc",     "a|b",          "ab|cd|",    "(ab)*",        "(a|b)+c",
      "[abc]{2}",   "[^a]b?",  "a{2,3}",       "a{2,}",     "(a{1,2}b){2}", "\\d+",
      "\\w\\W",     "[a-c-]+", "(?:ab)?c",     "[\\d_]{3}", "a.c",          "(a*)*",
      "((a|b)c?)+", "^ab$",    "\\x61\\u0062", "[b\\-d]",   "\\.\\*",       "(a|ab)(c|bcd)",
      "a??b",       ""};
  std::vector<std::string> texts = {""};
  for (size_t i = 0; texts.size() < 3000; ++i) {
    for (const char c : std::string("abcd1_.-* ")) texts.push_back(texts[i] + c);
  }
  for (const std::string& pattern : patterns) {
    const auto grammar = compile(Spec::regex(pattern));
    ASSERT_TRUE(grammar);
    const std::regex expected(pattern);
    for (const std::string& text : texts) {
      Matcher matcher(grammar);
      EXPECT_EQ(matcher.accept_bytes(text) && matcher.can_end(), std::regex_match(text, expected))
          << pattern << " on " << text;
    }
  }
}

TEST(Regex, ReadsUnicodeCharacterByCharacter) {
  EXPECT_TRUE(matches(Spec::regex("[а-я]{3}"), "где"));
  EXPECT_FALSE(matches(Spec::regex("[а-я]{3}"), "гд"));
  EXPECT_TRUE(matches(Spec::regex("."), "😀"));
  EXPECT_TRUE(matches(Spec::regex("\\u{1F600}"), "😀"));
  EXPECT_TRUE(matches(Spec::regex("[^a]"), "é"));
  EXPECT_FALSE(matches(Spec::regex("[^a]"), "\xC3"));
  EXPECT_FALSE(matches(Spec::regex("."), "\xED\xA0\x80"));  // a surrogate
  EXPECT_FALSE(matches(Spec::regex("."), "\n"));
}

TEST(Regex, RefusesWhatItDoesNotKnow) {
  for (const char* pattern : {"(a",    "a)",      "[a",       "[]",    "*a",
                              "a**",   "a{3,2}",  "a{20000}", "a{",    "(?=a)",
                              "(?!a)", "(?<=a)b", "\\1",      "\\bx",  "\\p{L}",
                              "a^b",   "a$b",     "(^a)",     "[z-a]", "[\\d-z]",
                              "a\\",   "\xFF",    "x{1}{2}",  "(?i)a", "[^\\x00-\\u{10FFFF}]"}) {
    EXPECT_NE(refusal(Spec::regex(pattern)), "") << pattern;
  }
  EXPECT_NE(refusal(Spec::regex(std::string(kMaxPatternBytes + 1, 'a'))), "");
}

}  // namespace
}  // namespace hachi::grammar
