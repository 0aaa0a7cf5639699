// The engine on real models: the same tokens and logprobs, bit for bit, as one sequence alone.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/generate.h"
#include "engine/model_runner.h"
#include "model/golden_models.h"

namespace hachi::engine {
namespace {

using hachi::testing::GoldenModel;
using hachi::testing::open_golden;
using testing::Answer;
using testing::read;

constexpr int64_t kContext = 128;

std::unique_ptr<Engine> make_engine(const GoldenModel& golden, DType kv_dtype, int64_t cache_tokens,
                                    int64_t guess_tokens, int64_t host_pages = 0) {
  auto runner = ModelRunner::create(*golden.model, {.threads = 2,
                                                    .cache_tokens = cache_tokens,
                                                    .max_tokens = 48,
                                                    .max_rows = 8,
                                                    .host_pages = host_pages,
                                                    .kv_dtype = kv_dtype});
  EXPECT_TRUE(runner) << runner.error().message;
  return std::make_unique<Engine>(*std::move(runner),
                                  EngineOptions{.scheduler = {.max_sequences = 8,
                                                              .step_tokens = 48,
                                                              .prompt_tokens = 20,
                                                              .preempt = Preempt::kSwap},
                                                .guess_tokens = guess_tokens,
                                                .context = kContext});
}

std::vector<int32_t> alone(const GoldenModel& golden, DType kv_dtype, const Request& request) {
  auto session = Session::create(
      *golden.model, {.threads = 1, .context = kContext, .chunk = 32, .kv_dtype = kv_dtype});
  EXPECT_TRUE(session) << session.error().message;
  std::vector<int32_t> tokens;
  const GenerateOptions options{.sampling = request.sampling, .max_tokens = request.max_tokens};
  EXPECT_TRUE(generate(*session, request.prompt, options, [&](int32_t token) {
    tokens.push_back(token);
    return true;
  }));
  return tokens;
}

class EngineGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(EngineGolden, MixturesAnswerAsOneAlone) {
  const GoldenModel golden = open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kQ8_0}) {
    if (dtype == DType::kQ8_0 && golden.model->config().head_dim % 32 != 0) continue;
    for (const int64_t host_pages : {-1, 0, 4, 40}) {
      // Tight: pages for two or three of them, so that they put each other back.
      const bool is_tight = host_pages >= 0;
      const auto engine = make_engine(golden, dtype, is_tight ? 192 : 2048, is_tight ? 3 : 0,
                                      std::max<int64_t>(host_pages, 0));
      std::vector<Request> requests;
      std::vector<std::shared_ptr<Stream>> streams;
      for (int32_t i = 0; i < 8; ++i) {
        Request request{
            .prompt = golden.prompt,
            .sampling = {.temperature = i % 2 == 0 ? 0.0 : 0.9, .seed = static_cast<uint64_t>(i)},
            .max_tokens = 20 + i};
        for (int32_t t = 0; t < 6 * i; ++t) request.prompt.push_back((t * i) % 7);
        requests.push_back(request);
        const auto stream = engine->submit(std::move(request));
        ASSERT_TRUE(stream) << stream.error().message;
        streams.push_back(*stream);
      }
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(read(*streams[i]).tokens(), alone(golden, dtype, requests[i])) << i;
      }
      EXPECT_TRUE(engine->stop_and_check());
      const EngineStats stats = engine->stats();
      EXPECT_EQ(stats.preemptions > 0, is_tight);
      EXPECT_EQ(stats.swap.sequences > 0, host_pages > 0);
      if (host_pages == 40) {
        EXPECT_EQ(stats.swap.sequences, stats.preemptions);
      }
    }
  }
}

// Prompts that push each other out of 6 pages come back from the processor's memory.
TEST_P(EngineGolden, PrefixesComeBackFromTheHost) {
  const GoldenModel golden = open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  const auto engine = make_engine(golden, DType::kF16, 192, 0, 20);
  for (int round = 0; round < 2; ++round) {
    for (int32_t i = 0; i < 4; ++i) {
      Request request{.prompt = golden.prompt, .sampling = {.temperature = 0}, .max_tokens = 12};
      request.prompt.resize(100, 3 + i);
      std::rotate(request.prompt.begin(), request.prompt.begin() + 50 + i, request.prompt.end());
      const auto stream = engine->submit(request);
      ASSERT_TRUE(stream) << stream.error().message;
      const Answer answer = read(**stream);
      EXPECT_EQ(answer.tokens(), alone(golden, DType::kF16, request)) << i;
      EXPECT_EQ(answer.usage.cached_tokens, round == 0 ? 0 : 96);
    }
  }
  EXPECT_TRUE(engine->stop_and_check());
  EXPECT_GT(engine->stats().prefix.hit_host, 3 * 96);
}

TEST_P(EngineGolden, ScoresPromptsAsASession) {
  const GoldenModel golden = open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  const auto engine = make_engine(golden, DType::kF16, 512, 0);
  const auto stream = engine->submit(
      {.prompt = golden.prompt, .max_tokens = 0, .top_logprobs = 1, .score_prompt = true});
  ASSERT_TRUE(stream);
  const Answer answer = read(**stream);
  auto session = Session::create(*golden.model, {.threads = 1, .context = kContext});
  ASSERT_TRUE(session);
  const auto scores = session->score(golden.prompt, 1);
  ASSERT_TRUE(scores);
  ASSERT_EQ(answer.events.size(), scores->size());
  for (size_t i = 0; i < scores->size(); ++i) {
    EXPECT_EQ(answer.events[i].chosen.logprob, (*scores)[i].logprob);
    EXPECT_EQ(answer.events[i].top[0].token == answer.events[i].chosen.token, (*scores)[i].greedy);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EngineGolden,
                         ::testing::Values("qwen3-f32", "llama-bf16", "gemma3-bf16",
                                           "mistral-window-bf16"));

}  // namespace
}  // namespace hachi::engine
