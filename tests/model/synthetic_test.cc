// Models without a file: that they load, that their numbers are sane, and what is refused.
#include "model/synthetic.h"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "kernels/decode.h"
#include "model/model.h"
#include "model/synthetic_blocks.h"

namespace hachi::model {
namespace {

std::shared_ptr<const formats::Checkpoint> open_synthetic(const std::string& name) {
  auto checkpoint = synthetic_checkpoint(name);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  if (!checkpoint) return nullptr;
  return std::make_shared<const formats::Checkpoint>(*std::move(checkpoint));
}

DType type_of(const formats::Checkpoint& checkpoint, const char* name) {
  const formats::TensorEntry* entry = checkpoint.find(name);
  EXPECT_NE(entry, nullptr) << name;
  return entry == nullptr ? DType::kI32 : entry->data.dtype();
}

TEST(SyntheticBlocks, HaveTheDeviationWantedInAllTypes) {
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kI32) continue;
    const std::vector<std::byte> blocks = random_blocks(dtype);
    ASSERT_EQ(blocks.size() % static_cast<size_t>(traits(dtype).block_bytes), 0u) << name(dtype);
    const int64_t count = 1000 * traits(dtype).block_size;
    std::vector<float> values(static_cast<size_t>(count));
    ops::decode(dtype, blocks.data(), count, values.data());
    double sum = 0;
    double squares = 0;
    for (const float value : values) {
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const double scale = dtype == DType::kF8E4M3 ? static_cast<double>(kSyntheticF8Scale) : 1;
    const double deviation = scale * std::sqrt(squares / static_cast<double>(count));
    EXPECT_NEAR(deviation, 0.02, 0.006) << name(dtype);
    EXPECT_LT(std::abs(scale * sum / static_cast<double>(count)), 0.005) << name(dtype);
  }
}

TEST(Synthetic, AllTypesLoadAndGiveFiniteLogits) {
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kI32) continue;
    const auto checkpoint = open_synthetic(fmt::format("synthetic:tiny:{}", name(dtype)));
    ASSERT_NE(checkpoint, nullptr);
    const auto model = Model::load(checkpoint);
    ASSERT_TRUE(model) << model.error().message;
    ThreadPool pool(2);
    ops::Context ctx;
    ctx.pool = &pool;
    auto cache = KvCache::allocate(ctx, model->config(), 1, DType::kF16);
    auto memory = Buffer::allocate(Activations::bytes(model->config(), 3));
    ASSERT_TRUE(cache && memory);
    const auto a = Activations::over(memory->data(), model->config(), 3);
    const std::vector<int32_t> ids = {1, 500, 1023};
    const std::vector<int32_t> positions = {0, 1, 2};
    const std::vector<int32_t> pages = {0};
    const ops::SequenceSpan sequence{0, 3, pages};
    model->forward(ctx, {ids, positions, {&sequence, 1}}, *cache, a);
    std::vector<float> logits(3 * 1024);
    model->logits(ctx, Tensor(logits.data(), DType::kF32, {3, 1024}), a.x, a.normed);
    double squares = 0;
    for (const float logit : logits) squares += static_cast<double>(logit * logit);
    EXPECT_GT(squares, 1) << name(dtype);
    EXPECT_LT(squares, 1e6) << name(dtype);
  }
}

TEST(Synthetic, MixturesGiveEachMatrixItsType) {
  const auto medium = open_synthetic("synthetic:tiny:Q4_K_M");
  ASSERT_NE(medium, nullptr);
  EXPECT_EQ(type_of(*medium, "token_embd.weight"), DType::kQ4_K);
  EXPECT_EQ(type_of(*medium, "output.weight"), DType::kQ6_K);
  EXPECT_EQ(type_of(*medium, "blk.0.ffn_down.weight"), DType::kQ6_K);
  EXPECT_EQ(type_of(*medium, "blk.1.ffn_down.weight"), DType::kQ4_K);
  EXPECT_EQ(type_of(*medium, "blk.3.attn_v.weight"), DType::kQ6_K);
  EXPECT_EQ(type_of(*medium, "blk.7.attn_v.weight"), DType::kQ6_K);
  EXPECT_EQ(type_of(*medium, "blk.0.attn_q.weight"), DType::kQ4_K);

  const auto small = open_synthetic("synthetic:tiny:q4_k_s");
  ASSERT_NE(small, nullptr);
  EXPECT_EQ(type_of(*small, "blk.3.attn_v.weight"), DType::kQ5_K);
  EXPECT_EQ(type_of(*small, "blk.4.attn_v.weight"), DType::kQ4_K);
  EXPECT_EQ(type_of(*small, "blk.1.ffn_down.weight"), DType::kQ4_K);
}

TEST(Synthetic, FourBitsThroughoutIncludeTheHead) {
  const auto checkpoint = open_synthetic("synthetic:tiny:w4");
  ASSERT_NE(checkpoint, nullptr);
  for (const char* matrix : {"token_embd.weight", "output.weight", "blk.0.ffn_down.weight"}) {
    EXPECT_EQ(type_of(*checkpoint, matrix), DType::kQ4_0) << matrix;
  }
}

// 576 is no multiple of 256; the sizes are those of llama.cpp's files of this model.
TEST(Synthetic, RowsThatAreNotWholeBlocksFallBack) {
  const auto checkpoint = open_synthetic("synthetic:smollm2:q4_k_m");
  ASSERT_NE(checkpoint, nullptr);
  EXPECT_EQ(type_of(*checkpoint, "token_embd.weight"), DType::kQ8_0);
  EXPECT_EQ(type_of(*checkpoint, "blk.5.attn_q.weight"), DType::kQ5_0);
  EXPECT_EQ(type_of(*checkpoint, "blk.0.attn_v.weight"), DType::kQ8_0);
  EXPECT_EQ(type_of(*checkpoint, "blk.0.ffn_down.weight"), DType::kQ6_K);
  const auto model = Model::load(checkpoint);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(model->config().tied_head);
  EXPECT_NEAR(static_cast<double>(model->bytes_per_token()), 104e6, 1e6);
}

// The parameters of the published model: docs of Gemma 3 say 170 million of them are embeddings.
TEST(Synthetic, Gemma3HasItsLayers) {
  const auto checkpoint = open_synthetic("synthetic:gemma3-270m:q4_k_m");
  ASSERT_NE(checkpoint, nullptr);
  int64_t parameters = 0;
  for (const formats::TensorEntry& tensor : checkpoint->tensors()) {
    parameters += tensor.num_elements();
  }
  EXPECT_EQ(parameters, 268098176);
  const auto model = Model::load(checkpoint);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(std::count(model->config().windows.begin(), model->config().windows.end(), 512), 15);
}

TEST(Synthetic, WrongNamesAreRefused) {
  for (const char* name : {"", "qwen3-8b", "synthetic:", "synthetic:tiny", "synthetic:tiny:",
                           "synthetic:tiny:q9_9", "synthetic:tiny:i32", "synthetic:giant:q4_0"}) {
    EXPECT_FALSE(synthetic_checkpoint(name)) << name;
  }
}

}  // namespace
}  // namespace hachi::model
