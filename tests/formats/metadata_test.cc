#include "formats/metadata.h"

#include <cmath>

#include <gtest/gtest.h>

namespace hachi::formats {
namespace {

TEST(Metadata, AnIntegerIsANumberAndAWholeNumberIsAnInteger) {
  Metadata metadata;
  metadata.add("layers", int64_t{36});
  metadata.add("theta", 1e6);
  metadata.add("eps", 1e-6);
  EXPECT_EQ(**metadata.number("layers"), 36.0);
  EXPECT_EQ(**metadata.integer("theta"), 1000000);
  EXPECT_EQ(metadata.integer("eps").error().message,
            "'eps' is a number, where an integer is needed");
}

TEST(Metadata, IntegersMustFit) {
  Metadata metadata;
  metadata.add("large", UINT64_MAX);
  metadata.add("2^63", 9223372036854775808.0);
  metadata.add("-2^63", -9223372036854775808.0);
  metadata.add("nan", std::nan(""));
  EXPECT_FALSE(metadata.integer("large"));
  EXPECT_EQ(**metadata.number("large"), 18446744073709551616.0);
  EXPECT_FALSE(metadata.integer("2^63"));
  EXPECT_EQ(**metadata.integer("-2^63"), INT64_MIN);
  EXPECT_FALSE(metadata.integer("nan"));
}

TEST(Metadata, WhatIsMissingOrNullIsNothing) {
  Metadata metadata;
  metadata.add("null", std::monostate());
  for (const char* key : {"null", "missing"}) {
    EXPECT_FALSE(metadata.integer(key)->has_value());
    EXPECT_FALSE(metadata.number(key)->has_value());
    EXPECT_FALSE(metadata.boolean(key)->has_value());
    EXPECT_FALSE(metadata.string(key)->has_value());
    EXPECT_TRUE(metadata.integers(key)->empty());
    EXPECT_TRUE(metadata.numbers(key)->empty());
    EXPECT_EQ(metadata.strings(key), nullptr);
  }
}

TEST(Metadata, OtherTypesAreErrorsThatNameTheKey) {
  Metadata metadata;
  metadata.add("name", std::string_view("qwen3"));
  metadata.add("flag", true);
  EXPECT_EQ(metadata.integer("name").error().code, Code::kCorrupt);
  EXPECT_FALSE(metadata.integer("flag"));
  EXPECT_FALSE(metadata.number("flag"));
  EXPECT_FALSE(metadata.string("flag"));
  EXPECT_FALSE(metadata.boolean("name"));
  EXPECT_FALSE(metadata.integers("name"));
  EXPECT_NE(metadata.boolean("name").error().message.find("'name'"), std::string::npos);
}

TEST(Metadata, OneIntegerIsAListOfOne) {
  Metadata metadata;
  metadata.add("one", int64_t{151645});
  metadata.add("two", std::vector<int64_t>{151645, 151643});
  metadata.add("doubles", std::vector<double>{1.0, 2.5});
  EXPECT_EQ(*metadata.integers("one"), (std::vector<int64_t>{151645}));
  EXPECT_EQ(*metadata.integers("two"), (std::vector<int64_t>{151645, 151643}));
  EXPECT_EQ(*metadata.numbers("two"), (std::vector<double>{151645, 151643}));
  EXPECT_FALSE(metadata.integers("doubles"));
  EXPECT_EQ(*metadata.numbers("doubles"), (std::vector<double>{1.0, 2.5}));
}

TEST(Metadata, AKeyIsAddedOnce) {
  Metadata metadata;
  EXPECT_TRUE(metadata.add("key", int64_t{1}));
  EXPECT_FALSE(metadata.add("key", int64_t{2}));
  EXPECT_EQ(**metadata.integer("key"), 1);
}

}  // namespace
}  // namespace hachi::formats
