#include "api/json_text.h"

#include <cstdlib>
#include <limits>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "core/random.h"
#include "core/utf8.h"

namespace hachi::api {
namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(JsonString, IsWhatBoostWritesForEveryCharacter) {
  std::string all;
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    std::string one;
    append_utf8(one, code_point);
    ASSERT_EQ(json_string(one), boost::json::serialize(boost::json::string(one))) << code_point;
    all += one;
  }
  EXPECT_EQ(json_string(all), boost::json::serialize(boost::json::string(all)));
}

TEST(JsonString, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(json_string("a\xff"
                        "b"),
            "\"a\uFFFDb\"");
  EXPECT_EQ(json_string("\xed\xa0\x80"), json_string(replace_invalid_utf8("\xed\xa0\x80")));
  EXPECT_EQ(json_string("\xe2\x82"), "\"\uFFFD\"");
  // Random bytes, many of them lead bytes and continuations.
  for (uint64_t i = 0; i < 20'000; ++i) {
    std::string bytes;
    for (uint32_t j = 0; j < 6; ++j) {
      const double x = uniform(1, i, j);
      bytes += static_cast<char>(static_cast<int>(x < 0.5 ? 0x80 + x * 256 : (x - 0.5) * 512));
    }
    const std::string text = replace_invalid_utf8(bytes);
    ASSERT_EQ(json_string(bytes), boost::json::serialize(boost::json::string(text)));
  }
}

TEST(JsonNumbers, ReadBackAsTheSame) {
  const float floats[] = {0.0f,
                          -0.0f,
                          1.0f,
                          0.1f,
                          -9999.0f,
                          1e-45f,
                          -1.17549435e-38f,
                          std::numeric_limits<float>::max()};
  for (const float value : floats) {
    std::string out;
    append_float(out, value);
    EXPECT_TRUE(boost::json::parse(out).is_number()) << out;
    EXPECT_EQ(std::strtof(out.c_str(), nullptr), value) << out;
  }
  std::string out;
  append_integer(out, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(out, "-9223372036854775808");
}

TEST(Base64, IsThatOfRfc4648) {
  const std::string cases[][2] = {{"", ""},
                                  {"f", "Zg=="},
                                  {"fo", "Zm8="},
                                  {"foo", "Zm9v"},
                                  {"foob", "Zm9vYg=="},
                                  {"fooba", "Zm9vYmE="},
                                  {"foobar", "Zm9vYmFy"},
                                  {"\xff\xfe\xfb", "//77"}};
  for (const auto& [bytes, text] : cases) {
    std::string out;
    append_base64(out, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    EXPECT_EQ(out, text);
  }
}

TEST(ObjectWriter, WritesMembersInOrder) {
  std::string out;
  ObjectWriter writer(out);
  writer.text("a", "x\"y").integer("b", -1).boolean("c", true).null("d").raw("e", "[1]");
  writer.text_or_null("f", "").text_or_null("g", "z").number("h", 0.5);
  ObjectWriter(writer.member("i")).close();
  writer.close();
  EXPECT_EQ(out,
            R"({"a":"x\"y","b":-1,"c":true,"d":null,"e":[1],"f":null,"g":"z","h":0.5,"i":{}})");
}

}  // namespace
}  // namespace hachi::api
