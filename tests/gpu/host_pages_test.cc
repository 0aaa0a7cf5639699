// Pages of the cache on their way to the processor's memory and back.
#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "core/clock.h"
#include "core/random.h"
#include "engine/model_runner.h"
#include "gpu/gpu_fixture.h"
#include "model/kv_cache.h"
#include "model/synthetic.h"

namespace hachi {
namespace {

using engine::ModelRunner;
using model::KvCache;
using model::PageCopy;

class HostPages : public testing::GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    ctx_.device = ops::Device::kCuda;
    ctx_.gpu = gpu_.get();
  }
  ops::Context ctx_;
};

// Qwen3-8B's pages of 4.7 MB: to others and back, with neighbours that must stay as they are.
TEST_F(HostPages, ComeBackBitForBit) {
  constexpr int64_t kPages = 128;
  model::ModelConfig config;
  config.num_layers = 36, config.num_kv_heads = 8, config.head_dim = 128;
  auto cache = KvCache::allocate(ctx_, config, kPages, DType::kBF16);
  ASSERT_TRUE(cache) << cache.error().message;
  const uint64_t page = cache->page_bytes(), words = page / sizeof(uint64_t);
  EXPECT_EQ(page, 32u * 147456u);
  std::byte* const on_gpu = reinterpret_cast<std::byte*>(cache->layer(0).keys.data());
  std::vector<uint64_t> before(words * kPages), after(words * kPages);
  for (size_t i = 0; i < before.size(); ++i) before[i] = i * 0x9e3779b97f4a7c15u;
  gpu_->upload(on_gpu, reinterpret_cast<const std::byte*>(before.data()), page * kPages);
  auto host = ops::HostMemory::allocate(ctx_, page * kPages);
  ASSERT_TRUE(host);

  // Some pages one after the other, some alone and in no order.
  std::vector<PageCopy> out;
  for (int32_t i = 0; i < 60; ++i) out.push_back({20 + i, 2 + i});
  for (int32_t i = 0; i < 20; ++i) out.push_back({(i * 13) % 20, 127 - i});
  std::vector<PageCopy> back;  // to where others were, the last first
  for (size_t i = 0; i < out.size(); ++i) {
    back.push_back({out[out.size() - 1 - i].page, out[i].host_page});
  }
  cache->save(ctx_, out, host->data());
  cache->load(ctx_, back, host->data());
  gpu_->download(reinterpret_cast<std::byte*>(after.data()), on_gpu, page * kPages);
  std::vector<int32_t> source(kPages);
  std::iota(source.begin(), source.end(), 0);
  for (size_t i = 0; i < out.size(); ++i) {
    source[static_cast<size_t>(back[i].page)] = out[i].page;
  }
  for (size_t p = 0; p < kPages; ++p) {
    const auto* const from = before.data() + static_cast<size_t>(source[p]) * words;
    EXPECT_TRUE(std::equal(from, from + words, after.data() + p * words)) << p;
  }

  std::vector<PageCopy> all;
  for (int32_t i = 0; i < kPages; ++i) all.push_back({(i * 37) % 128, i});  // one by one
  const double bytes = static_cast<double>(page * kPages);
  Stopwatch watch;
  cache->save(ctx_, all, host->data());
  gpu_->wait();
  const double saved = watch.seconds();
  watch.restart();
  cache->load(ctx_, all, host->data());
  gpu_->wait();
  printf("  %.0f MB: %.1f GB/s out, %.1f GB/s in\n", bytes / 1e6, bytes / saved / 1e9,
         bytes / watch.seconds() / 1e9);
}

// A sequence goes out, another takes its pages, and it goes on from others.
TEST_F(HostPages, LetASequenceGoOn) {
  auto checkpoint = model::synthetic_checkpoint("synthetic:tiny:bf16");
  ASSERT_TRUE(checkpoint);
  auto model =
      model::Model::load(std::make_shared<const formats::Checkpoint>(*std::move(checkpoint)));
  ASSERT_TRUE(model);
  place(*model);
  auto made = ModelRunner::create(*model, {.threads = 2,
                                           .cache_tokens = 256,
                                           .max_tokens = 128,
                                           .max_rows = 1,
                                           .host_pages = 6,
                                           .kv_dtype = DType::kBF16,
                                           .gpu = gpu_.get()});
  ASSERT_TRUE(made) << made.error().message;
  ModelRunner& runner = **made;
  const auto run = [&](int32_t seed, int32_t begin, int64_t count, std::vector<int32_t> pages) {
    std::vector<int32_t> ids(static_cast<size_t>(count)), positions(ids.size());
    std::iota(positions.begin(), positions.end(), begin);
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = static_cast<int32_t>(uniform(seed, static_cast<uint64_t>(begin) + i) * 1024);
    }
    const ops::SequenceSpan span{0, count, pages};
    runner.forward({ids, positions, {&span, 1}});
    const int64_t last = count - 1;
    const auto logits = runner.logits({&last, 1});
    return std::vector<float>(logits.as<float>(), logits.as<float>() + logits.size(1));
  };
  run(1, 0, 100, {0, 1, 2, 3});
  const auto expected = run(1, 100, 1, {0, 1, 2, 3});
  const PageCopy out[] = {{0, 5}, {1, 0}, {2, 3}, {3, 4}};
  runner.save_pages(out);
  run(2, 0, 128, {3, 2, 1, 0});
  const PageCopy back[] = {{7, 5}, {4, 0}, {6, 3}, {5, 4}};
  runner.load_pages(back);
  EXPECT_EQ(run(1, 100, 1, {7, 4, 6, 5}), expected);
  // Beside the next step, and gone after it.
  const PageCopy out_again[] = {{5, 0}, {6, 1}, {4, 2}, {7, 5}};
  runner.save_pages_beside(out_again);
  run(3, 0, 128, {0, 1, 2, 3});
  run(4, 0, 128, {7, 6, 5, 4});
  const PageCopy back_again[] = {{0, 5}, {1, 2}, {2, 1}, {3, 0}};
  runner.load_pages(back_again);
  EXPECT_EQ(run(1, 100, 1, {0, 1, 2, 3}), expected);
  EXPECT_EQ(runner.num_host_pages(), 6);
  EXPECT_GT(runner.page_copy_seconds(), 0);
}

}  // namespace
}  // namespace hachi
