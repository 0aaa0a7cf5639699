#include "engine/placement.h"

#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "core/random.h"

namespace hachi::engine {
namespace {

constexpr int64_t kPage = 32;

std::vector<int32_t> prompt_of(int32_t first, size_t length) {
  std::vector<int32_t> tokens(length);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(Placement, TakesTurnsWhereNothingIsKnown) {
  Placement placement(3, kPage);
  const std::vector<int64_t> idle(3, 0);
  std::vector<size_t> places;
  for (int32_t i = 0; i < 6; ++i) {
    places.push_back(placement.place(0, prompt_of(i * 1000, 100), true, idle));
  }
  EXPECT_EQ(places, (std::vector<size_t>{0, 1, 2, 0, 1, 2}));
}

TEST(Placement, FollowsAKnownBeginning) {
  Placement placement(4, kPage);
  const std::vector<int64_t> idle(4, 0);
  const size_t first = placement.place(0, prompt_of(0, 200), true, idle);
  for (int32_t i = 1; i < 4; ++i) placement.place(0, prompt_of(i * 1000, 200), true, idle);
  // A conversation goes on, and another one with the same beginning.
  EXPECT_EQ(placement.place(0, prompt_of(0, 400), true, idle), first);
  std::vector<int32_t> other = prompt_of(0, 100);
  other.resize(300, 7);
  EXPECT_EQ(placement.place(0, other, true, idle), first);
}

TEST(Placement, AQueueWeighsMoreThanAShortBeginning) {
  Placement placement(2, kPage);
  const std::vector<int32_t> text = prompt_of(0, 4 * Placement::kTokensARequest);
  ASSERT_EQ(placement.place(0, text, true, std::vector<int64_t>{0, 0}), 0u);
  EXPECT_EQ(placement.place(0, text, true, std::vector<int64_t>{3, 0}), 0u);
  EXPECT_EQ(placement.place(0, text, true, std::vector<int64_t>{5, 0}), 1u);
  // Now both have it.
  EXPECT_EQ(placement.place(0, text, true, std::vector<int64_t>{2, 1}), 1u);
  EXPECT_EQ(placement.place(0, text, true, std::vector<int64_t>{1, 2}), 0u);
}

TEST(Placement, WhoDoesNotShareIsPlacedByLoadAlone) {
  Placement placement(2, kPage);
  const std::vector<int32_t> text = prompt_of(0, 512);
  ASSERT_EQ(placement.place(1, text, true, std::vector<int64_t>{0, 0}), 0u);
  EXPECT_EQ(placement.place(2, text, true, std::vector<int64_t>{1, 0}), 1u) << "another salt";
  EXPECT_EQ(placement.place(1, text, false, std::vector<int64_t>{1, 0}), 1u);
  EXPECT_EQ(placement.place(1, text, true, std::vector<int64_t>{1, 0}), 0u);
}

TEST(Placement, LeavesOutWhoTakesNoMore) {
  Placement placement(3, kPage);
  const std::vector<int32_t> text = prompt_of(0, 64);
  ASSERT_EQ(placement.place(0, text, true, std::vector<int64_t>{0, 0, 0}), 0u);
  EXPECT_EQ(placement.place(0, text, true, std::vector<int64_t>{-1, 1000, -1}), 1u);
  EXPECT_EQ(placement.place(0, text, true, std::vector<int64_t>{-1, -1, -1}), 0u);
}

TEST(Placement, StaysWithinBoundsOverAnyTexts) {
  Placement placement(Placement::kMaxEngines, kPage);
  std::set<size_t> used;
  uint64_t drawn = 0;
  const auto below = [&](double most) { return static_cast<int64_t>(uniform(9, drawn++) * most); };
  std::vector<int64_t> open(Placement::kMaxEngines);
  for (int i = 0; i < 3000; ++i) {
    for (int64_t& count : open) count = below(4) - 1;
    std::vector<int32_t> text(static_cast<size_t>(below(2000)));
    for (int32_t& token : text) token = static_cast<int32_t>(below(2));
    const size_t place =
        placement.place(static_cast<uint64_t>(below(3)), text, below(2) == 0, open);
    ASSERT_LT(place, open.size());
    ASSERT_GE(open[place], 0);
    used.insert(place);
  }
  EXPECT_GT(used.size(), 32u);
}

}  // namespace
}  // namespace hachi::engine
