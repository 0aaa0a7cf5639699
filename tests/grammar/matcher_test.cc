#include "grammar/matcher.h"

#include <thread>

#include <gtest/gtest.h>

#include "grammar/small_vocabulary.h"
#include "grammar/synthetic_vocabulary.h"

namespace hachi::grammar {
namespace {

// Some of each kind, and those that a string's shortcuts could get wrong: long ones, ones with a
// quote after plain characters, ones that begin or end within a character, and two that are equal.
const std::vector<std::string>& mixed_words() {
  static const std::vector<std::string>& words = *new std::vector<std::string>([] {
    std::vector<std::string> made;
    const std::vector<std::string> all = synthetic_tokens();
    for (size_t i = 300; i + 1 < all.size(); i += 150) made.push_back(all[i]);
    for (const size_t length : {3, 4, 5, 7, 8, 9, 15, 16, 17, 40, 300}) {
      const std::string run(length, 'a');
      const std::string wide = [&] {
        std::string text;
        for (size_t i = 0; i < length; ++i) text += "\u00e9";
        return text;
      }();
      made.insert(made.end(), {run, run + "\"", run + "\\", run + "\n", run + "\xC3", wide,
                               wide + "\"}", "\xA9" + run, "\"" + run});
    }
    made.insert(made.end(), {"twin", "twin"});
    return made;
  }());
  return words;
}

const std::vector<Spec>& mixed_specs() {
  static const std::vector<Spec>& specs = *new std::vector<Spec>{
      Spec::json_object(),
      Spec::json_schema(R"({"type":"string"})"),
      Spec::json_schema(R"({"type":"string","maxLength":3})"),
      Spec::json_schema(R"({"type":"string","minLength":9,"maxLength":24})"),
      Spec::json_schema(R"({"type":"array","items":{"type":"string","maxLength":17}})"),
      Spec::json_schema(R"({"type":"string","pattern":"^[a-z ]{0,20}$"})"),
      Spec::json_schema(
          R"({"type":"object","properties":{"a":{"type":"number"},"b":{"enum":["aaaa","aaab"]}}})"),
      Spec::regex("(aaa|aaaaa)*[^\"\\\\]{2,9}\"?"),
      Spec::ebnf("root ::= \"aa\" root \"a\" | [^\"]{1,30}"),
  };
  return specs;
}

// A walk of random allowed tokens; `look` sees each mask.
template <class Look>
std::string walk(Matcher& matcher, uint64_t seed, int steps, Look&& look) {
  std::string text;
  std::vector<uint32_t> mask(matcher.vocabulary().mask_words());
  for (int step = 0; step < steps; ++step) {
    matcher.fill_mask(mask);
    look(mask);
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < matcher.vocabulary().size(); ++id) {
      if (id != kStop && (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1)) {
        allowed.push_back(id);
      }
    }
    if (allowed.empty()) break;
    const TokenId chosen = allowed[random_bits(seed, static_cast<uint64_t>(step)) % allowed.size()];
    EXPECT_TRUE(matcher.accept(chosen));
    text += fmt::format("{} ", chosen);
  }
  return text;
}

TEST(Matcher, MasksAreWhatItAccepts) {
  Compiler compiler(byte_vocabulary(mixed_words()));
  for (size_t number = 0; number < mixed_specs().size(); ++number) {
    SCOPED_TRACE(number);
    const auto grammar = compiler.compile(mixed_specs()[number]);
    ASSERT_TRUE(grammar) << grammar.error().message;
    for (uint64_t seed = 0; seed < 3; ++seed) {
      Matcher matcher(*grammar);
      walk(matcher, seed, 25, [&](const std::vector<uint32_t>& mask) {
        for (TokenId id = 0; id < matcher.vocabulary().size(); ++id) {
          const bool allowed = (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
          const bool accepted = matcher.accept(id);
          if (accepted) matcher.rollback(1);
          ASSERT_EQ(allowed, accepted) << "token " << id << " at step " << matcher.num_steps();
        }
      });
    }
  }
}

TEST(Matcher, RepeatsWhatMayBeEmpty) {
  for (const char* text : {"root ::= \"a\" ( ){9023,}", "root ::= \"a\" (\"\" | \"b\"?){9023,}",
                           "root ::= \"a\" ((\"b\"* ){2000,9000} \"\"){5,}"}) {
    Matcher matcher(compile(Spec::ebnf(text)));
    EXPECT_FALSE(matcher.accept(kStop)) << text;
    ASSERT_TRUE(matcher.accept('a')) << text;
    EXPECT_TRUE(matcher.accept(kStop)) << text;
  }
}

// An empty way that is longer than the limits of a state ends the text there; what the mask says of
// it holds.
TEST(Matcher, StopsWhereItsLimitsLeaveNoWay) {
  Matcher matcher(compile(Spec::ebnf("root ::= \"a\" nothing{9023}\nnothing ::= \"\"")));
  std::vector<uint32_t> mask(matcher.vocabulary().mask_words());
  matcher.fill_mask(mask);
  for (TokenId id = 0; id < matcher.vocabulary().size(); ++id) {
    const bool allowed = (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
    EXPECT_EQ(allowed, id == kStop) << "token " << id;
    EXPECT_EQ(allowed, matcher.accept(id)) << "token " << id;
  }
}

TEST(Matcher, ThreadsShareAGrammar) {
  Compiler compiler(byte_vocabulary(mixed_words()));
  const auto grammar = compiler.compile(mixed_specs()[4]);
  ASSERT_TRUE(grammar);
  std::vector<std::string> alone(4), together(4);
  const auto text_of = [&](uint64_t seed) {
    Matcher matcher(*grammar);
    return walk(matcher, seed, 60, [](const auto&) {});
  };
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] { together[seed] = text_of(seed); });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint64_t seed = 0; seed < 4; ++seed) alone[seed] = text_of(seed);
  EXPECT_EQ(alone, together);
}

TEST(Matcher, ClonesGoTheirOwnWay) {
  Matcher matcher(compile(Spec::regex("(ab|cd)+")));
  ASSERT_TRUE(matcher.accept('a'));
  Matcher clone = matcher.clone();
  ASSERT_TRUE(clone.accept('b'));
  ASSERT_TRUE(clone.accept('c'));
  EXPECT_EQ(clone.forced_text(), "d");
  EXPECT_EQ(matcher.forced_text(), "b");
  clone.rollback(3);
  EXPECT_EQ(clone.forced_text(), "");
  EXPECT_EQ(clone.num_steps(), 0);
  EXPECT_EQ(matcher.num_steps(), 1);
}

TEST(Matcher, FollowsALiteral) {
  Matcher matcher(compile(Spec::literal("abc")));
  EXPECT_EQ(matcher.forced_text(), "abc");
  EXPECT_FALSE(matcher.can_end());
  EXPECT_TRUE(matcher.accept('a'));
  EXPECT_FALSE(matcher.accept('x'));
  EXPECT_FALSE(matcher.accept(kStop));
  EXPECT_TRUE(matcher.accept_bytes("bc"));
  EXPECT_TRUE(matcher.can_end());
  EXPECT_TRUE(matcher.is_finished());
  EXPECT_TRUE(matcher.accept(kStop));
  EXPECT_FALSE(matcher.accept(kStop));
  EXPECT_FALSE(matcher.accept_bytes("c"));
  matcher.rollback(2);
  EXPECT_EQ(matcher.forced_text(), "bc");
}

TEST(Matcher, AcceptsSchemas) {
  const Spec spec = Spec::json_schema(
      R"({"type":"object","properties":{"a":{"type":"integer","minimum":3,"maximum":120},"b":{"type":"array","items":{"type":"string","maxLength":3}}},"required":["b"]})");
  EXPECT_TRUE(matches(spec, R"({"a": 17, "b": ["x", "\u00e9yz"]})"));
  EXPECT_TRUE(matches(spec, R"({"b": []})"));
  EXPECT_FALSE(matches(spec, R"({"a": 2, "b": []})"));
  EXPECT_FALSE(matches(spec, R"({"a": 121, "b": []})"));
  EXPECT_FALSE(matches(spec, R"({"b": ["abcd"]})"));
  EXPECT_FALSE(matches(spec, R"({"a": 3})"));
}

}  // namespace
}  // namespace hachi::grammar
