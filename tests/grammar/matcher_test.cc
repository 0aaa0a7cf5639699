#include "grammar/matcher.h"

#include <gtest/gtest.h>

#include "grammar/small_vocabulary.h"

namespace hachi::grammar {
namespace {

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
