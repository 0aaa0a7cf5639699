#include "formats/json.h"

#include <gtest/gtest.h>

#include "formats/printable.h"

namespace hachi::formats {
namespace {

std::string error_of(std::string_view text) {
  const auto parsed = parse_json(text, "f.json");
  return parsed ? "no error" : parsed.error().message;
}

TEST(Json, NamesTheFileAndThePlace) {
  EXPECT_EQ(error_of("{\n  \"a\": tru\n}"),
            "f.json: not usable JSON at line 2, column 8: syntax error");
  EXPECT_NE(error_of("").find("incomplete"), std::string::npos);
  EXPECT_NE(error_of("{\"a\": 1").find("incomplete"), std::string::npos);
  EXPECT_NE(error_of("{} {}").find("extra data"), std::string::npos);
}

TEST(Json, RefusesWhatIsNotStrictJson) {
  for (const char* text : {"NaN", "{\"a\": Infinity}", "[1,]", "{'a': 1}", "// x\n1", "\"\xFF\"",
                           "\"\\ud800\"", "[01]", "\xEF\xBB\xBF{}"}) {
    EXPECT_FALSE(parse_json(text, "f.json")) << text;
  }
}

TEST(Json, RefusesAKeyThatIsThereTwice) {
  EXPECT_NE(error_of(R"({"a": 1, "b": {"c": 1}, "a": {}})").find("the key 'a' is twice"),
            std::string::npos);
  // The same key, written in two ways.
  EXPECT_NE(error_of(R"({"b": [{"ab": 1, "\u0061b": 2}]})").find("the key 'ab' is twice"),
            std::string::npos);
  EXPECT_TRUE(parse_json(R"({"a": {"a": 1}, "b": {"a": 1}})", "f.json"));
}

TEST(Json, LimitsDepthAndCount) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse_json(nested(kMaxJsonDepth), "f.json"));
  EXPECT_NE(error_of(nested(kMaxJsonDepth + 1)).find("too deep"), std::string::npos);
  EXPECT_FALSE(parse_json(std::string(1000000, '['), "f.json"));
  std::string many = "[0";
  for (uint64_t i = 0; i < kMaxJsonValues; ++i) many += ",0";
  EXPECT_FALSE(parse_json(many + "]", "f.json"));
}

TEST(Json, RoundsNumbersToTheNearestDouble) {
  const auto parsed = parse_json("[1e-06, 0.1, 123456789.123456789e-7, -0.0, 5e-324]", "f.json");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->at(0).as_double(), 1e-06);
  EXPECT_EQ(parsed->at(1).as_double(), 0.1);
  EXPECT_EQ(parsed->at(2).as_double(), 123456789.123456789e-7);
  EXPECT_EQ(parsed->at(4).as_double(), 5e-324);
  EXPECT_NE(error_of("[1e999]"), "no error");
}

TEST(Json, FlattensObjectsAndKeepsLists) {
  const auto object = parse_json_object(
      R"({"a": {"b": {"c": 1.5}, "d": null}, "ids": [1, 2], "mixed": [1, "x"], "flags": [true],
          "names": ["p", "q"], "nums": [1, 2.5], "big": 18446744073709551615, "empty": []})",
      "f.json");
  ASSERT_TRUE(object);
  const auto metadata = flatten(*object, "f.json");
  ASSERT_TRUE(metadata);
  EXPECT_EQ(**metadata->number("a.b.c"), 1.5);
  EXPECT_NE(metadata->find("a.d"), nullptr);
  EXPECT_FALSE(metadata->number("a.d")->has_value());
  EXPECT_EQ(*metadata->integers("ids"), (std::vector<int64_t>{1, 2}));
  EXPECT_TRUE(std::holds_alternative<Composite>(*metadata->find("mixed")));
  EXPECT_TRUE(std::holds_alternative<Composite>(*metadata->find("a.b")));
  EXPECT_FALSE(metadata->integers("mixed"));  // there, and wrong, which is not the same as missing
  EXPECT_EQ(*metadata->integers("flags"), (std::vector<int64_t>{1}));
  EXPECT_EQ(*metadata->strings("names"), (std::vector<std::string_view>{"p", "q"}));
  EXPECT_EQ(*metadata->numbers("nums"), (std::vector<double>{1, 2.5}));
  EXPECT_EQ(std::get<uint64_t>(*metadata->find("big")), UINT64_MAX);
  EXPECT_TRUE(metadata->integers("empty")->empty());
}

TEST(Json, RefusesPathsThatCollide) {
  const auto object = parse_json_object(R"({"a.b": 1, "a": {"b": 2}})", "f.json");
  ASSERT_TRUE(object);
  EXPECT_EQ(flatten(*object, "f.json").error().message, "f.json: there are two values for 'a.b'");
  EXPECT_FALSE(parse_json_object("[]", "f.json"));
}

TEST(Printable, LeavesNothingThatDrivesATerminal) {
  EXPECT_EQ(printable("blk.0"), "'blk.0'");
  EXPECT_EQ(printable("a\x1B[2J\n\xFF"), "'a\\x1B[2J\\x0A\\xFF'");
  EXPECT_EQ(printable("\xC2\x9B"), "'\\xC2\\x9B'");  // U+009B, the one-character CSI
  EXPECT_EQ(printable(std::string(1000, 'x')), "'" + std::string(80, 'x') + "...'");
}

}  // namespace
}  // namespace hachi::formats
