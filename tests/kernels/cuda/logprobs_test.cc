// Logprobs that the GPU finds beside the tokens that it draws, against the reference.
#include "kernels/logprobs.h"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/gpu_fixture.h"
#include "kernels/draw.h"
#include "kernels/memory.h"

namespace hachi::ops {
namespace {

constexpr int64_t kVocabs[] = {1, 19, 33, 4099, 151'936, kMaxDrawVocab};

// Like those of a model, rounded so that many are equal, or broken.
std::vector<float> random_logits(size_t size, int kind, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> logits(size);
  for (float& logit : logits) {
    logit = 3 * normal(random);
    if (kind == 1) logit = std::round(logit);
    if (kind == 1 && random() % 20 == 0) logit = random() % 2 == 0 ? NAN : -INFINITY;
    if (kind == 2 && random() % 3 != 0) logit = NAN;
    if (kind == 3) logit = random() % 2 == 0 ? NAN : -INFINITY;
  }
  return logits;
}

class LogprobsTest : public hachi::testing::GpuTest {
 protected:
  std::vector<TokenLogprobs> found(const std::vector<float>& logits, int64_t vocab,
                                   const std::vector<DrawRow>& rows) {
    Context ctx;
    ctx.device = Device::kCuda;
    ctx.gpu = gpu_.get();
    const auto count = static_cast<int64_t>(logits.size()) / vocab;
    auto placed = Memory::allocate(ctx, logits.size() * sizeof(float));
    auto room = Memory::allocate(ctx, draw_bytes(std::max(count, std::ssize(rows)), vocab));
    EXPECT_TRUE(placed && room);
    gpu_->upload(placed->data(), reinterpret_cast<const std::byte*>(logits.data()),
                 logits.size() * sizeof(float));
    std::vector<int32_t> tokens(rows.size());
    std::vector<TokenLogprobs> logprobs(rows.size());
    draw(ctx, tokens, ConstTensor(placed->data(), DType::kF32, {count, vocab}), rows, room->data(),
         logprobs);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].top_logprobs < 0) continue;
      EXPECT_EQ(logprobs[i].chosen.token, tokens[i]);
    }
    return logprobs;
  }
};

void expect_same(const TokenLogprobs& found, const TokenLogprobs& wanted) {
  EXPECT_NEAR(found.chosen.logprob, wanted.chosen.logprob, 1e-5);
  ASSERT_EQ(found.num_top, wanted.num_top);
  for (size_t i = 0; i < static_cast<size_t>(found.num_top); ++i) {
    EXPECT_EQ(found.top[i].token, wanted.top[i].token) << i;
    EXPECT_NEAR(found.top[i].logprob, wanted.top[i].logprob, 1e-5) << i;
  }
}

class LogprobsOf : public LogprobsTest, public ::testing::WithParamInterface<int64_t> {};

TEST_P(LogprobsOf, AreTheReferences) {
  std::mt19937 random(5);
  const int64_t vocab = GetParam();
  for (const int kind : {0, 1, 2, 3}) {
    const int64_t count = vocab > 4099 ? 3 : 70;
    const auto logits = random_logits(static_cast<size_t>(count * vocab), kind, 3);
    std::vector<DrawRow> rows;
    for (int64_t i = 0; i < count; ++i) {
      rows.push_back({.row = count - 1 - i,
                      .top_logprobs = static_cast<int>(random() % (kMaxTopLogprobs + 1)),
                      .uniform = 0.3,
                      .temperature = i % 2 == 0 ? 0 : 1.0});
      if (i % 3 == 1) rows.back().forced = static_cast<int32_t>(random() % vocab);
      if (i % 5 == 4) rows.back().top_logprobs = -1;
    }
    const auto all = found(logits, vocab, rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].top_logprobs < 0) continue;
      SCOPED_TRACE(::testing::Message() << vocab << " tokens of kind " << kind << ", row " << i);
      const float* row = &logits[static_cast<size_t>(rows[i].row * vocab)];
      expect_same(all[i], logprobs_of({row, static_cast<size_t>(vocab)}, all[i].chosen.token,
                                      rows[i].top_logprobs));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabulary, LogprobsOf, ::testing::ValuesIn(kVocabs),
                         ::testing::PrintToStringParamName());

TEST_F(LogprobsTest, OfARowDependOnNothingElse) {
  constexpr int64_t kVocab = 151'936, kRows = 64;
  const auto logits = random_logits(static_cast<size_t>(4 * kVocab), 0, 9);
  std::vector<DrawRow> rows;
  for (int64_t i = 0; i < kRows; ++i) rows.push_back({.row = i % 4, .top_logprobs = 20});
  const auto together = found(logits, kVocab, rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto alone = found(logits, kVocab, {rows[i]})[0];
    EXPECT_EQ(together[i].chosen.logprob, alone.chosen.logprob) << i;
    for (size_t t = 0; t < kMaxTopLogprobs; ++t) {
      EXPECT_EQ(together[i].top[t].token, alone.top[t].token) << i;
      EXPECT_EQ(together[i].top[t].logprob, alone.top[t].logprob) << i;
    }
  }
}

}  // namespace
}  // namespace hachi::ops
