#include "output/boxed.h"

#include <string>

#include <gtest/gtest.h>

namespace hachi::output {
namespace {

TEST(BoxedTest, TheLastBoxIsTheAnswer) {
  EXPECT_EQ(last_boxed("so \\boxed{41}, no: $\\boxed{42}$."), "42");
  EXPECT_EQ(last_boxed("\\boxed{ 7 }"), "7");
  EXPECT_EQ(last_boxed("\\boxed {7}\nand \\fbox{8}"), "8");
  EXPECT_EQ(last_boxed("\\boxed{}"), "");
}

TEST(BoxedTest, BracesWithinCountInPairs) {
  EXPECT_EQ(last_boxed("\\boxed{\\frac{1}{2}}"), "\\frac{1}{2}");
  EXPECT_EQ(last_boxed("{\\boxed{\\{1, 2\\}}}"), "\\{1, 2\\}");
  EXPECT_EQ(last_boxed("\\boxed{\\text{a }b}} }"), "\\text{a }b");
  EXPECT_EQ(last_boxed("} \\boxed{3}"), "3");
}

TEST(BoxedTest, ABoxWithinABoxBelongsToIt) {
  EXPECT_EQ(last_boxed("\\boxed{1 + \\boxed{2}}"), "1 + \\boxed{2}");
}

TEST(BoxedTest, WhatIsNotClosedIsNoBox) {
  EXPECT_EQ(last_boxed(""), std::nullopt);
  EXPECT_EQ(last_boxed("42"), std::nullopt);
  EXPECT_EQ(last_boxed("\\boxed"), std::nullopt);
  EXPECT_EQ(last_boxed("\\boxed{4"), std::nullopt);
  EXPECT_EQ(last_boxed("\\\\boxed{4}"), std::nullopt);
  EXPECT_EQ(last_boxed("\\boxed{4} and \\boxed{5"), "4");
  EXPECT_EQ(last_boxed("\\boxed{\\boxed{4}"), "4");
  EXPECT_EQ(last_boxed("{{{ \\boxed{4}"), "4");
}

TEST(BoxedTest, ManyOpenBoxesTakeNoTime) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "\\boxed{";
  EXPECT_EQ(last_boxed(text), std::nullopt);
  EXPECT_EQ(last_boxed(text + "1}"), "1");
}

}  // namespace
}  // namespace hachi::output
