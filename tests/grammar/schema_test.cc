#include "grammar/schema.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "grammar/small_vocabulary.h"
#include "grammar/synthetic_vocabulary.h"

namespace hachi::grammar {
namespace {

bool schema_matches(std::string_view schema, std::string_view text) {
  return matches(Spec::json_schema(std::string(schema)), text);
}

TEST(Schema, IntegersKeepTheirBounds) {
  for (int low = -120; low <= 120; low += 7) {
    for (int high = low; high <= 130; high += 11) {
      const auto grammar = compile(Spec::json_schema(
          fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", low, high)));
      for (int value = -140; value <= 140; ++value) {
        Matcher matcher(grammar);
        EXPECT_EQ(matcher.accept_bytes(fmt::format("{}", value)) && matcher.can_end(),
                  low <= value && value <= high)
            << value << " in " << low << ".." << high;
      }
    }
  }
}

TEST(Schema, NumbersKeepTheirBounds) {
  uint64_t counter = 0;
  const auto number = [&counter] {
    const auto whole = static_cast<double>(random_bits(3, counter++) % 400) - 200;
    const auto part = static_cast<double>(random_bits(3, counter++) % 64) / 64;
    return random_bits(3, counter++) % 3 == 0 ? whole : whole + part;
  };
  for (int i = 0; i < 60; ++i) {
    const double low = number();
    const double high = low + std::abs(number());
    const bool exclusive = i % 2 == 1;
    const auto grammar = compile(Spec::json_schema(fmt::format(
        R"({{"type":"number","{}":{},"{}":{}}})", exclusive ? "exclusiveMinimum" : "minimum", low,
        i % 3 == 0 ? "exclusiveMaximum" : "maximum", i % 3 == 0 ? high + 1 : high)));
    const double top = i % 3 == 0 ? high + 1 : high;
    if (!grammar) continue;
    for (int k = 0; k < 200; ++k) {
      const double value = k == 0 ? low : k == 1 ? top : number();
      if (value == 0) continue;
      const bool above = exclusive ? value > low : value >= low;
      const bool below = i % 3 == 0 ? value < top : value <= top;
      Matcher matcher(grammar);
      EXPECT_EQ(matcher.accept_bytes(fmt::format("{}", value)) && matcher.can_end(), above && below)
          << value << " in " << low << ".." << top << (exclusive ? " exclusive" : "");
    }
  }
}

TEST(Schema, StringsCountCharacters) {
  const char* schema = R"({"type":"string","minLength":2,"maxLength":3})";
  for (const char* right : {R"("ab")", R"("é😀")", R"("\n\u00e9\"")", R"("\\a")"}) {
    EXPECT_TRUE(schema_matches(schema, right)) << right;
  }
  for (const char* wrong :
       {R"("a")", R"("abcd")", R"("\u00e9")", R"("\ud83d")", "\"a\n\"", "\"a\"\"", "\"\xFFx\""}) {
    EXPECT_FALSE(schema_matches(schema, wrong)) << wrong;
  }
}

TEST(Schema, PatternsSeeTheTextBehindTheEscapes) {
  EXPECT_TRUE(schema_matches(R"({"type":"string","pattern":"^\"\\\\\\n$"})", R"("\"\\\n")"));
  EXPECT_TRUE(schema_matches(R"({"type":"string","pattern":"b"})", R"("abc")"));
  EXPECT_FALSE(schema_matches(R"({"type":"string","pattern":"^b"})", R"("abc")"));
  EXPECT_TRUE(schema_matches(R"({"type":"string","pattern":"^a|c$"})", R"("xxc")"));
  EXPECT_FALSE(schema_matches(R"({"type":"string","pattern":"^[0-9]{3}$"})", R"("12")"));
}

TEST(Schema, ObjectsKeepTheOrderAndWhatIsRequired) {
  const char* schema = R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},
    "c":{"type":"null"}},"required":["b"]})";
  for (const char* right : {R"({"b": null})", R"({"a": null, "b": null})",
                            R"({"b": null, "c": null})", R"({"a": null, "b": null, "c": null})"}) {
    EXPECT_TRUE(schema_matches(schema, right)) << right;
  }
  for (const char* wrong : {"{}", R"({"a": null})", R"({"c": null, "b": null})", R"({"b":null})",
                            R"({"b": null, "d": null})", R"({"b": null, })", R"({, "b": null})"}) {
    EXPECT_FALSE(schema_matches(schema, wrong)) << wrong;
  }
}

TEST(Schema, OtherMembersCannotTakeADeclaredName) {
  const char* schema = R"({"type":"object","properties":{"ab":{"type":"null"},"abc":{"type":"null"},
    "":{"type":"null"}},"additionalProperties":{"type":"boolean"}})";
  for (const char* name : {"a", "abd", "abcd", "b", "é", "x y"}) {
    EXPECT_TRUE(schema_matches(schema, fmt::format(R"({{"{}": true}})", name))) << name;
  }
  for (const char* name : {"ab", "abc", ""}) {
    EXPECT_FALSE(schema_matches(schema, fmt::format(R"({{"{}": true}})", name))) << name;
    EXPECT_TRUE(schema_matches(schema, fmt::format(R"({{"{}": null}})", name))) << name;
  }
  EXPECT_FALSE(schema_matches(schema, R"({"\u0061b": true})"));
}

TEST(Schema, ArraysCountTheirItems) {
  const char* schema = R"({"type":"array","prefixItems":[{"type":"null"},{"type":"boolean"}],
    "items":{"const":7},"minItems":1,"maxItems":3})";
  for (const char* right : {"[null]", "[null, true]", "[null, false, 7]"}) {
    EXPECT_TRUE(schema_matches(schema, right)) << right;
  }
  for (const char* wrong : {"[]", "[true]", "[null, 7]", "[null, true, 7, 7]", "[null,true]"}) {
    EXPECT_FALSE(schema_matches(schema, wrong)) << wrong;
  }
  EXPECT_TRUE(schema_matches(R"({"type":"array","maxItems":0})", "[]"));
  EXPECT_FALSE(schema_matches(R"({"type":"array","maxItems":0})", "[1]"));
}

TEST(Schema, RecursionNests) {
  const char* schema = R"({"$defs":{"tree":{"type":"object","properties":{"kids":{"type":"array",
    "items":{"$ref":"#/$defs/tree"}}}}},"$ref":"#/$defs/tree"})";
  EXPECT_TRUE(schema_matches(schema, R"({"kids": [{}, {"kids": [{"kids": []}]}]})"));
  EXPECT_FALSE(schema_matches(schema, R"({"kids": [{}, {"kids": [{"kids": 1}]}]})"));
}

TEST(Schema, BranchesHoldTogetherWithWhatStandsBesideThem) {
  const char* schema =
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"}},
    "anyOf":[{"required":["a"]},{"required":["b"]}]})";
  EXPECT_TRUE(schema_matches(schema, R"({"a": 1})"));
  EXPECT_TRUE(schema_matches(schema, R"({"b": null})"));
  EXPECT_FALSE(schema_matches(schema, "{}"));
  const char* merged =
      R"({"allOf":[{"type":"integer","minimum":3},{"maximum":5}],"type":"number"})";
  EXPECT_TRUE(schema_matches(merged, "4"));
  EXPECT_FALSE(schema_matches(merged, "6"));
}

TEST(Schema, ParsedTextsOfASpecStandAsWritten) {
  const Spec call = Spec::sequence(
      {Spec::literal("<tool_call>\n{\"name\": \"f\", \"arguments\": "),
       Spec::json_schema(R"({"type":"object","properties":{"x":{"type":"integer"}}})"),
       Spec::literal("}\n</tool_call>")});
  const Spec calls = Spec::repeat(call, 1, 2);
  const std::string one = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>";
  EXPECT_TRUE(matches(calls, one));
  EXPECT_TRUE(matches(calls, one + one));
  EXPECT_FALSE(matches(calls, one + one + one));
  EXPECT_TRUE(matches(Spec::choice({"yes", "no"}), "no"));
  EXPECT_FALSE(matches(Spec::choice({"yes", "no"}), "nope"));
  EXPECT_TRUE(matches(Spec::json_object(), R"({"a": [1, {"b": "c"}, null, -1.5e3]})"));
  EXPECT_FALSE(matches(Spec::json_object(), "[]"));
  EXPECT_NE(refusal(Spec::choice({})), "");
  EXPECT_NE(refusal(Spec::repeat(call, 3, 2)), "");
}

}  // namespace
}  // namespace hachi::grammar
