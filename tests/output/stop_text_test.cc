#include "output/stop_text.h"

#include <gtest/gtest.h>

namespace hachi::output {
namespace {

// The answer that comes through when `text` arrives in pieces of `size` bytes.
std::string through(std::vector<std::string> stops, std::string_view text, size_t size) {
  StopText stop(std::move(stops));
  std::string out;
  for (size_t at = 0; at < text.size() && !stop.found(); at += size) {
    out += stop.push(text.substr(at, size));
  }
  if (!stop.found()) out += stop.finish();
  return out;
}

TEST(StopText, EndsBeforeTheStopHoweverItIsCut) {
  for (size_t size = 1; size < 8; ++size) {
    EXPECT_EQ(through({"END"}, "one two ENEND three", size), "one two EN");
    EXPECT_EQ(through({"\n\n", "wo"}, "one two\n\n three", size), "one t");
    EXPECT_EQ(through({"aab"}, "aaaaab", size), "aaa");
    EXPECT_EQ(through({"END"}, "one EN", size), "one EN");
    EXPECT_EQ(through({}, "one", size), "one");
    EXPECT_EQ(through({""}, "one", size), "one");
  }
}

TEST(StopText, HoldsBackOnlyWhatMayBecomeAStop) {
  StopText stop({"END"});
  EXPECT_EQ(stop.push("one E"), "one ");
  EXPECT_EQ(stop.push("x"), "Ex");
  EXPECT_EQ(stop.push("EN"), "");
  EXPECT_FALSE(stop.found());
  EXPECT_EQ(stop.push("D"), "");
  EXPECT_TRUE(stop.found());
}

}  // namespace
}  // namespace hachi::output
