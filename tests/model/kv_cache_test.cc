#include "model/kv_cache.h"

#include <cstring>
#include <numeric>

#include <gtest/gtest.h>

namespace hachi::model {
namespace {

constexpr int64_t kPages = 8;

class KvCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.num_layers = 3;
    config_.num_kv_heads = 2;
    config_.head_dim = 16;
    auto cache = KvCache::allocate(ctx_, config_, kPages, DType::kF16);
    ASSERT_TRUE(cache) << cache.error().message;
    cache_ = *std::move(cache);
  }

  // Where page `page` begins.
  std::byte* at(int32_t page) {
    return reinterpret_cast<std::byte*>(cache_.layer(0).keys.data()) +
           static_cast<uint64_t>(page) * cache_.page_bytes();
  }
  std::vector<std::byte> page(int32_t number) {
    return {at(number), at(number) + cache_.page_bytes()};
  }

  ops::Context ctx_;
  ModelConfig config_;
  KvCache cache_;
};

TEST_F(KvCacheTest, PagesComeBackAlsoToOtherPlaces) {
  const uint64_t bytes = cache_.page_bytes();
  EXPECT_EQ(bytes, 2u * 3 * 2 * 16 * KvCache::kPageTokens * sizeof(uint16_t));
  std::vector<std::vector<std::byte>> before;
  for (int32_t p = 0; p < kPages; ++p) {
    for (uint64_t i = 0; i < bytes; ++i) at(p)[i] = static_cast<std::byte>(p * 31 + i * 7);
    before.push_back(page(p));
  }
  std::vector<std::byte> host(5 * bytes);
  // Two that follow each other, one that does so only in the cache, one alone.
  const PageCopy out[] = {{1, 2}, {2, 3}, {3, 0}, {7, 4}};
  cache_.save(ctx_, out, host.data());
  for (const PageCopy& copy : out) {
    EXPECT_EQ(std::memcmp(&host[static_cast<size_t>(copy.host_page) * bytes],
                          before[static_cast<size_t>(copy.page)].data(), bytes),
              0);
  }
  const PageCopy back[] = {{0, 2}, {6, 3}, {7, 4}, {2, 0}};
  cache_.load(ctx_, back, host.data());
  const size_t source[] = {1, 1, 3, 3, 4, 5, 2, 7};
  for (int32_t p = 0; p < kPages; ++p) {
    EXPECT_EQ(page(p), before[source[static_cast<size_t>(p)]]) << p;
  }
}

}  // namespace
}  // namespace hachi::model
