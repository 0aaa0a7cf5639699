#include "engine/pages.h"

#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "engine/prefix_tree.h"

namespace hachi::engine {
namespace {

constexpr int64_t kPageTokens = 4;

std::vector<int32_t> tokens_from(int32_t first, int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(Pages, AreFreeOrOwned) {
  PagePool pool(4);
  {
    PageList a(pool, 4);
    PageList b(pool, 4);
    EXPECT_TRUE(a.resize(3));
    EXPECT_FALSE(b.resize(2));
    EXPECT_EQ(b.size(), 0);
    EXPECT_TRUE(b.resize(1));
    EXPECT_EQ(pool.num_free(), 0);
    EXPECT_TRUE(a.resize(1));
    EXPECT_EQ(pool.num_free(), 2);
    b.append(a.share(0));
    EXPECT_EQ(pool.owners(a.pages()[0]), 2);
    a.resize(0);
    EXPECT_EQ(pool.num_free(), 2);  // b still has it
  }
  EXPECT_EQ(pool.num_free(), 4);
}

class PrefixTreeTest : public ::testing::Test {
 protected:
  // As a sequence does: takes what is known, computes the rest, tells the tree.
  int64_t run(const std::vector<int32_t>& tokens, uint64_t salt = 0) {
    PageList pages(pool, 100);
    const int64_t known = tree.match(salt, tokens, pages);
    const int64_t whole = static_cast<int64_t>(tokens.size()) / kPageTokens;
    tree.make_room(whole - known);
    EXPECT_TRUE(pages.resize(whole));
    tree.insert(salt, tokens, pages, whole);
    EXPECT_TRUE(tree.is_consistent());
    return known;
  }

  PagePool pool{8};
  HostPages host{0, 8, 0};
  PrefixTree tree{pool, host, kPageTokens};
};

TEST_F(PrefixTreeTest, KnowsWholePagesOfWhatRan) {
  const auto tokens = tokens_from(0, 10);
  EXPECT_EQ(run(tokens), 0);
  EXPECT_EQ(tree.size(), 2);
  EXPECT_EQ(pool.num_free(), 6);
  EXPECT_EQ(run(tokens), 2);
  EXPECT_EQ(tree.count_known(0, std::span(tokens).first(7)), 1);
  // The second page is known only after the first one.
  EXPECT_EQ(tree.count_known(0, std::span(tokens).subspan(4)), 0);
  auto other = tokens;
  other[5] = 99;
  EXPECT_EQ(run(other), 1);
  EXPECT_EQ(tree.size(), 3);
}

TEST_F(PrefixTreeTest, SaltsAreTreesOfTheirOwn) {
  const auto tokens = tokens_from(0, 8);
  EXPECT_EQ(run(tokens, 1), 0);
  EXPECT_EQ(run(tokens, 2), 0);
  EXPECT_EQ(run(tokens, 1), 2);
  EXPECT_EQ(tree.size(), 4);
}

TEST_F(PrefixTreeTest, ForgetsTheLongestUnusedFirst) {
  const auto a = tokens_from(0, 16), b = tokens_from(100, 16);
  run(a);
  run(b);
  EXPECT_EQ(pool.num_free(), 0);
  EXPECT_EQ(run(a), 4);  // used again
  EXPECT_EQ(run(tokens_from(200, 8)), 0);
  EXPECT_EQ(tree.count_known(0, a), 4);
  EXPECT_EQ(tree.count_known(0, b), 2);  // from its end
  EXPECT_EQ(tree.evictions(), 2);
}

TEST_F(PrefixTreeTest, KeepsWhatASequenceReads) {
  const auto tokens = tokens_from(0, 32);
  run(tokens);
  PageList reader(pool, 100);
  EXPECT_EQ(tree.match(0, std::span(tokens).first(12), reader), 3);
  EXPECT_FALSE(tree.make_room(6));
  EXPECT_EQ(pool.num_free(), 5);
  reader.resize(0);
  EXPECT_TRUE(tree.make_room(8));
  EXPECT_EQ(tree.size(), 0);
  EXPECT_TRUE(tree.is_consistent());
}

TEST_F(PrefixTreeTest, SaysWhyItDoesNotKnow) {
  const auto tokens = tokens_from(0, 8);
  EXPECT_EQ(tree.explain_miss(1, tokens, 0), PrefixMiss::kNew);
  run(tokens, 1);
  EXPECT_EQ(tree.explain_miss(2, tokens, 0), PrefixMiss::kOtherSalt);
  EXPECT_EQ(tree.explain_miss(1, tokens_from(0, 12), 2), PrefixMiss::kNew);
  tree.make_room(8);
  EXPECT_EQ(tree.explain_miss(1, tokens, 1), PrefixMiss::kForgotten);
}

// Texts over two letters share many beginnings; the pool holds few of them.
TEST_F(PrefixTreeTest, StaysConsistent) {
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::vector<int32_t> tokens(random() % 30);
    for (size_t t = 0; t < tokens.size(); ++t) tokens[t] = t % 4 == 3 ? random() % 2 : 0;
    const int64_t counted = tree.count_known(i % 2, tokens);
    EXPECT_EQ(run(tokens, i % 2), counted);
    EXPECT_EQ(pool.num_free() + tree.size(), pool.num_pages());
  }
}

}  // namespace
}  // namespace hachi::engine
