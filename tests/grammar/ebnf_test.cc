#include "grammar/ebnf.h"

#include <gtest/gtest.h>

#include "grammar/automaton.h"
#include "grammar/small_vocabulary.h"

namespace hachi::grammar {
namespace {

TEST(Ebnf, ReadsAllOfItsSyntax) {
  const Spec spec = Spec::ebnf(R"ebnf(
    # A sum in brackets.
    root  ::= term (" + " term)*
    term  ::= number | "(" root ")" | name-1{2,3}
    number ::= [1-9] [0-9]{0,2} ("." [0-9]+)? | "0"  # no zeros before
    name-1 ::= "\x61" | [^\x00-\x7F"]
  )ebnf");
  for (const char* right : {"0", "12.5", "(1 + 2)", "((7)) + 0", "aa", "aéa", "999 + (aa + 3)"}) {
    EXPECT_TRUE(matches(spec, right)) << right;
  }
  for (const char* wrong : {"", "01", "1.", "(1", "1 +", "a", "aaaa", "1000", "x"}) {
    EXPECT_FALSE(matches(spec, wrong)) << wrong;
  }
}

TEST(Ebnf, CountsWithAStack) {
  const Spec spec = Spec::ebnf("root ::= \"a\" root \"b\" | \"\"");
  EXPECT_TRUE(matches(spec, "aaabbb"));
  EXPECT_FALSE(matches(spec, "aaabb"));
  EXPECT_FALSE(matches(spec, "aaabbbb"));
}

TEST(Ebnf, StaysCompletableAtTheGreatestDepth) {
  Matcher matcher(
      compile(Spec::ebnf("root ::= \"(\" root \")\" | \"[\" (root root) \"]\" | \".\"")));
  int depth = 0;
  while (matcher.accept('[')) ++depth;
  EXPECT_GT(depth, 50);
  EXPECT_LE(depth, kMaxDepth);
  int steps = 0;
  while (!matcher.can_end() && steps < 10'000) {
    const std::string forced = matcher.forced_text();
    ASSERT_TRUE(matcher.accept_bytes(forced.empty() ? "." : forced)) << steps;
    ++steps;
  }
  EXPECT_TRUE(matcher.can_end());
}

TEST(Ebnf, RepeatsOfRightRecursionNeedNoDepth) {
  Matcher matcher(compile(Spec::ebnf("root ::= [a-z] root | \"\"")));
  for (int i = 0; i < 5 * kMaxDepth; ++i) ASSERT_TRUE(matcher.accept('a'));
  EXPECT_TRUE(matcher.can_end());
}

TEST(Ebnf, RefusesWrongGrammarsWithTheirLine) {
  for (const char* text : {"",
                           "root",
                           "root = \"a\"",
                           "x ::= \"a\"",
                           "root ::= y",
                           "root ::= \"a",
                           "root ::= [a",
                           "root ::= (\"a\"",
                           "root ::= \"a\")",
                           "root ::= \"a\"{3,1}",
                           "root ::= \"a\"{99999}",
                           "root ::= \"a\"**",
                           "root ::= \"\\q\"",
                           "root ::= [z-a]",
                           "root ::= \"a\"\nroot ::= \"b\"",
                           "root ::= root",
                           "root ::= root \"a\" | \"b\"",
                           "root ::= a\na ::= b \"x\"\nb ::= \"\" a",
                           "root ::= \"a\" root",
                           "root ::= \xFF",
                           "::="}) {
    EXPECT_NE(refusal(Spec::ebnf(text)), "") << text;
  }
  EXPECT_NE(refusal(Spec::ebnf("root ::= \"a\"\n\nx ::= nothing")).find("line 3"),
            std::string::npos);
}

}  // namespace
}  // namespace hachi::grammar
