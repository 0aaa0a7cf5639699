#include "grammar/attacks.h"

#include <gtest/gtest.h>

#include "grammar/automaton.h"
#include "grammar/lazy_dfa.h"
#include "grammar/small_vocabulary.h"
#include "grammar/synthetic_vocabulary.h"

namespace hachi::grammar {
namespace {

// Each is refused with a message, or a random text goes its way and the memory stays bounded.
void run(const std::vector<Attack>& attacks) {
  Compiler compiler(byte_vocabulary({"aa", "ab", "ba", "abab", "aaaaaaaa", "\"", "\": ", "[[[["}));
  for (const Attack& attack : attacks) {
    SCOPED_TRACE(attack.name);
    const auto grammar = compiler.compile(attack.spec);
    if (!grammar) {
      EXPECT_FALSE(grammar.error().message.empty());
      EXPECT_LT(grammar.error().message.size(), 2000u);
      continue;
    }
    Matcher matcher(*grammar);
    std::vector<uint32_t> mask(matcher.vocabulary().mask_words());
    uint64_t counter = 0;
    for (int step = 0; step < 300 && !matcher.is_finished(); ++step) {
      matcher.fill_mask(mask);
      std::vector<TokenId> allowed;
      for (TokenId id = 0; id < matcher.vocabulary().size(); ++id) {
        if (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) allowed.push_back(id);
      }
      ASSERT_FALSE(allowed.empty());
      ASSERT_TRUE(matcher.accept(allowed[random_bits(1, counter++) % allowed.size()]));
    }
    // What a mask may add beyond the bound before a fresh one is begun.
    EXPECT_LT((*grammar)->bytes(), 4 * kMaxDfaBytes);
  }
}

TEST(Attacks, Schemas) { run(schema_attacks()); }
TEST(Attacks, Texts) { run(text_attacks()); }

TEST(Attacks, ManyMatchersOfAWildGrammarStayBounded) {
  const auto grammar = compile(
      Spec::ebnf("root ::= [a-z] root [a-m] | [a-z] root [h-z] | [a-z] root [c-p] | \".\""));
  std::vector<uint32_t> mask;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Matcher matcher(grammar);
    mask.resize(matcher.vocabulary().mask_words());
    for (uint64_t step = 0; step < 200; ++step) {
      matcher.fill_mask(mask);
      const auto letter = static_cast<TokenId>('a' + random_bits(seed, step) % 26);
      if (!matcher.accept(letter)) break;
    }
  }
  EXPECT_LT(grammar->bytes(), 4 * kMaxDfaBytes);
}

}  // namespace
}  // namespace hachi::grammar
