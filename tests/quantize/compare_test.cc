// Two models against each other, and GPTQ over a whole model against plain rounding.
#include "quantize/compare.h"

#include <cmath>

#include <gtest/gtest.h>

#include "formats/temp_folder.h"
#include "model/model.h"
#include "quantize/calibration.h"
#include "quantize/gptq.h"
#include "tiny_model.h"

namespace hachi::quantize {
namespace {

using formats::TempFolder;

struct Loaded {
  std::unique_ptr<model::Model> model;
  std::unique_ptr<engine::Session> session;
};

Loaded load(std::shared_ptr<const formats::Checkpoint> checkpoint, int64_t chunk) {
  Loaded loaded;
  auto model = model::Model::load(std::move(checkpoint));
  EXPECT_TRUE(model) << model.error().message;
  loaded.model = std::make_unique<model::Model>(*std::move(model));
  auto session = engine::Session::create(
      *loaded.model, {.threads = 2, .context = chunk + 8, .chunk = chunk, .kv_dtype = DType::kF32});
  EXPECT_TRUE(session) << session.error().message;
  loaded.session = std::make_unique<engine::Session>(*std::move(session));
  return loaded;
}

TEST(Compare, AModelIsLikeItself) {
  const Loaded a = load(open_tiny("qwen3-f32"), 32);
  const Loaded b = load(open_tiny("qwen3-f32"), 32);
  const auto vocab = static_cast<int32_t>(a.model->config().vocab_size);
  const auto chunks = random_chunks(2, 32, vocab);
  const auto comparison = compare_models(*a.session, *b.session, chunks, {}, {});
  ASSERT_TRUE(comparison);
  EXPECT_EQ(comparison->divergence.tokens, 62);
  EXPECT_EQ(comparison->divergence.mean, 0);
  EXPECT_EQ(comparison->divergence.max, 0);
  EXPECT_EQ(comparison->divergence.same_top, 1);
  EXPECT_EQ(comparison->ratio.value, 1);
  EXPECT_EQ(comparison->ratio.error, 0);
  // The perplexity is that which the scores of the tokens give.
  double loss = 0;
  for (const auto& chunk : chunks) {
    const auto scores = a.session->score(chunk, 1);
    ASSERT_TRUE(scores);
    for (const engine::TokenScore& score : *scores) loss -= static_cast<double>(score.logprob);
  }
  EXPECT_NEAR(comparison->source.perplexity.value / std::exp(loss / 62), 1, 1e-5);
}

TEST(Compare, DivergenceIsThatOfTheFormula) {
  const Loaded a = load(open_tiny("qwen3-f32"), 16);
  const Loaded b = load(open_tiny("qwen3-fp8-blocks"), 16);
  const auto vocab = static_cast<size_t>(a.model->config().vocab_size);
  if (b.model->config().vocab_size != a.model->config().vocab_size) {
    const auto chunks = random_chunks(1, 16, 8);
    const auto refused = compare_models(*a.session, *b.session, chunks, {}, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
    return;
  }
  const auto chunks = random_chunks(1, 2, static_cast<int32_t>(vocab));
  const auto comparison = compare_models(*a.session, *b.session, chunks, {}, {});
  ASSERT_TRUE(comparison);
  const auto log_softmax = [&](engine::Session& session) {
    EXPECT_TRUE(session.prefill({chunks[0].data(), 1}));
    std::vector<double> logs(session.logits().begin(), session.logits().end());
    double sum = 0;
    for (const double logit : logs) sum += std::exp(logit);
    for (double& logit : logs) logit -= std::log(sum);
    return logs;
  };
  const auto p = log_softmax(*a.session);
  const auto q = log_softmax(*b.session);
  double expected = 0;
  for (size_t i = 0; i < vocab; ++i) expected += std::exp(p[i]) * (p[i] - q[i]);
  EXPECT_NEAR(comparison->divergence.mean, expected, 1e-6 + 1e-4 * expected);
  EXPECT_EQ(comparison->divergence.median, comparison->divergence.max);
}

TEST(Compare, SpeedIsCountedInTokens) {
  const Loaded a = load(open_tiny("qwen3-f32"), 16);
  const auto prompt = random_chunks(1, 16, 16)[0];
  const auto speed = measure_speed(*a.session, prompt, 8, {});
  ASSERT_TRUE(speed);
  EXPECT_GT(speed->prefill_per_second, 0);
  EXPECT_GT(speed->decode_per_second, 0);
}

// GPTQ over the whole of a model that interleaves rows on the way: nearer to the source than plain
// rounding, on tokens that it did not see.
TEST(Gptq, BringsAModelNearerToItsSource) {
  for (const char* name : {"qwen3-f32", "llama-bf16"}) {
    const TempFolder folder;
    const auto checkpoint = open_tiny(name);
    const auto source = open_source(checkpoint);
    ASSERT_TRUE(source);
    const auto plan = make_plan(*source, model::find_file_type("Q4_0"), {}, false);
    ASSERT_TRUE(plan);
    ThreadPool pool(2);
    const Loaded original = load(checkpoint, 64);
    const auto vocab = static_cast<int32_t>(original.model->config().vocab_size);
    ASSERT_TRUE(write_model(*source, *plan, folder.path() / "plain.gguf", pool, {}));
    auto seen = random_chunks(40, 64, vocab);
    const std::vector<std::vector<int32_t>> unseen(seen.end() - 8, seen.end());
    seen.resize(32);
    auto gptq = Gptq::create(*source, *plan, seen, pool, {});
    ASSERT_TRUE(gptq) << gptq.error().message;
    WriteOptions options;
    options.gptq = gptq->get();
    ASSERT_TRUE(write_model(*source, *plan, folder.path() / "gptq.gguf", pool, options));
    double divergence[2];
    for (const int i : {0, 1}) {
      const auto path = folder.path() / (i == 0 ? "plain.gguf" : "gptq.gguf");
      const Loaded quantized = load(open_shared(path), 64);
      const auto comparison = compare_models(*original.session, *quantized.session, unseen, {}, {});
      ASSERT_TRUE(comparison);
      divergence[i] = comparison->divergence.mean;
    }
    EXPECT_LT(divergence[1], divergence[0]) << name;
  }
}

}  // namespace
}  // namespace hachi::quantize
