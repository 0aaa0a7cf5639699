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
  explicit PrefixTreeTest(int64_t num_host_pages = 0) : host(num_host_pages, 8, 0) {}

  // As a sequence does: takes what is known, computes the rest, tells the tree.
  int64_t run(const std::vector<int32_t>& tokens, uint64_t salt = 0) {
    PageList pages(pool, 100);
    tree.match(salt, tokens, pages);
    const int64_t whole = static_cast<int64_t>(tokens.size()) / kPageTokens;
    EXPECT_TRUE(tree.make_room(whole - pages.size()));
    tree.load(salt, tokens, pages);
    const int64_t known = pages.size();
    EXPECT_TRUE(pages.resize(whole));
    tree.insert(salt, tokens, pages, whole);
    EXPECT_TRUE(tree.is_consistent());
    return known;
  }

  PagePool pool{8};
  HostPages host;
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

class TwoSidedTreeTest : public PrefixTreeTest {
 protected:
  TwoSidedTreeTest() : PrefixTreeTest(6) {}
};

TEST_F(TwoSidedTreeTest, MovesWhatHasToMakeRoom) {
  const auto a = tokens_from(0, 20), b = tokens_from(100, 24);
  run(a);
  EXPECT_EQ(run(b), 0);
  EXPECT_EQ(tree.size(), 8);
  EXPECT_EQ(tree.host_size(), 3);  // the end of a
  EXPECT_EQ(tree.moved_out(), 3);
  EXPECT_EQ(tree.evictions(), 0);
  EXPECT_EQ(tree.count_known(0, a), 5);
  PageList pages(pool, 8);
  EXPECT_EQ(tree.match(0, a, pages), 2);
  EXPECT_EQ(tree.load(0, a, pages), 0);  // there is no page for it
  EXPECT_TRUE(tree.make_room(2));
  EXPECT_EQ(tree.load(0, a, pages), 2);
  EXPECT_EQ(tree.moved_in(), 2);
  EXPECT_EQ(tree.host_size(), 3);  // the end of both
  EXPECT_TRUE(tree.is_consistent());
}

TEST_F(TwoSidedTreeTest, MakesRoomAheadAsFarAsPagesMove) {
  const auto a = tokens_from(0, 20);
  run(a);
  tree.make_room_ahead(3);
  EXPECT_EQ(tree.moved_out(), 0);
  tree.make_room_ahead(5);
  EXPECT_EQ(pool.num_free(), 5);
  EXPECT_EQ(tree.host_size(), 2);
  tree.set_moves_out(false);
  tree.make_room_ahead(8);
  EXPECT_EQ(pool.num_free(), 5);
  tree.set_moves_out(true);
  PageList pages(pool, 8);
  EXPECT_EQ(tree.match(0, std::span(a).first(4), pages), 1);
  tree.make_room_ahead(8);
  EXPECT_EQ(pool.num_free(), 7);
  EXPECT_EQ(tree.count_known(0, a), 5);
  EXPECT_TRUE(tree.is_consistent());
}

TEST_F(PrefixTreeTest, ForgetsNothingAhead) {
  run(tokens_from(0, 20));
  tree.make_room_ahead(8);
  EXPECT_EQ(tree.size(), 5);
}

TEST_F(TwoSidedTreeTest, ForgetsWhatTheHostHasNoRoomFor) {
  const auto a = tokens_from(0, 32), b = tokens_from(100, 32), c = tokens_from(200, 32);
  run(a);
  run(b);
  EXPECT_EQ(tree.host_size(), 6);
  EXPECT_EQ(tree.evictions(), 2);
  EXPECT_EQ(tree.count_known(0, a), 6);
  run(c);
  EXPECT_EQ(tree.count_known(0, a), 0);
  EXPECT_EQ(tree.count_known(0, b), 6);
  EXPECT_TRUE(tree.make_host_room(4));
  EXPECT_EQ(tree.count_known(0, b), 2);
  EXPECT_FALSE(tree.make_host_room(7));
}

TEST_F(TwoSidedTreeTest, KeepsWhatIsClaimed) {
  const auto a = tokens_from(0, 24);
  PrefixTree::Claim claim;
  {
    PageList pages(pool, 8);
    pages.resize(6);
    tree.insert(0, a, pages, 6);
    PageList others(pool, 8);
    others.resize(1);
    EXPECT_EQ(tree.claim(0, a, others).pages, 0);  // not its pages
    claim = tree.claim(0, std::span(a).first(19), pages);
    EXPECT_EQ(claim.pages, 4);
  }
  tree.set_moves_out(false);  // what is claimed has to move all the same
  EXPECT_TRUE(tree.make_room(8));
  EXPECT_EQ(tree.host_size(), 4);
  EXPECT_FALSE(tree.make_host_room(3));
  for (int32_t i = 1; i < 9; ++i) run(tokens_from(100 * i, 32));
  EXPECT_EQ(run(a), 4);
  EXPECT_EQ(tree.num_claims(), 1);
  tree.release(claim);
  EXPECT_TRUE(tree.make_room(8));
  EXPECT_TRUE(tree.make_host_room(6));
  EXPECT_EQ(tree.size() + tree.host_size(), 0);
}

// A page that was computed again although it is on the host comes to the device.
TEST_F(TwoSidedTreeTest, TakesAPageForOneOnTheHost) {
  const auto a = tokens_from(0, 8);
  run(a);
  tree.make_room(8);
  EXPECT_EQ(tree.host_size(), 2);
  PageList pages(pool, 8);
  pages.resize(2);
  tree.insert(0, a, pages, 2);
  EXPECT_EQ(tree.size(), 2);
  EXPECT_EQ(tree.host_size(), 0);
  EXPECT_TRUE(tree.is_consistent());
}

TEST_F(TwoSidedTreeTest, StaysConsistent) {
  std::mt19937 random(4);
  std::vector<PrefixTree::Claim> claims;
  const auto claimed = [&] {
    int64_t sum = 0;
    for (const auto& claim : claims) sum += claim.pages;
    return sum;
  };
  for (int i = 0; i < 4000; ++i) {
    std::vector<int32_t> tokens(random() % 30);
    for (size_t t = 0; t < tokens.size(); ++t) tokens[t] = t % 4 == 3 ? random() % 2 : 0;
    const uint64_t salt = random() % 2;
    tree.set_moves_out(random() % 4 != 0);
    const int64_t counted = tree.count_known(salt, tokens);
    // Making room may forget a page on the host that was to be loaded.
    EXPECT_LE(run(tokens, salt), counted);
    EXPECT_EQ(pool.num_free() + tree.size(), pool.num_pages());
    EXPECT_EQ(host.pool().num_free() + tree.host_size(), 6);
    if (!claims.empty() && random() % 3 == 0) {
      std::swap(claims[random() % claims.size()], claims.back());
      tree.release(claims.back());
      claims.pop_back();
    }
    PageList pages(pool, 8);
    tree.match(salt, tokens, pages);
    if (claimed() + pages.size() > 6) continue;
    claims.push_back(tree.claim(salt, tokens, pages));
    EXPECT_EQ(claims.back().pages, pages.size());
  }
}

}  // namespace
}  // namespace hachi::engine
