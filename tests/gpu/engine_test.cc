// The engine's promises on a GPU: mixtures, a cache that is too small, shared beginnings, clients
// that go.
#include "engine/engine.h"

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>

#include "engine/engine_fixture.h"
#include "engine/generate.h"
#include "engine/model_runner.h"
#include "engine/scripted_constraint.h"
#include "gpu/gpu_fixture.h"
#include "model/golden_models.h"

namespace hachi::engine {
namespace {

using hachi::testing::GoldenModel;
using hachi::testing::open_golden;
using testing::read;
using testing::ScriptedConstraint;

constexpr int64_t kContext = 128;

class GpuEngine : public hachi::testing::GpuTest,
                  public ::testing::WithParamInterface<const char*> {
 protected:
  std::unique_ptr<ModelRunner> make_runner(const GoldenModel& golden, int64_t cache_tokens,
                                           int64_t host_pages = 0) {
    auto runner = ModelRunner::create(*golden.model, {.threads = 2,
                                                      .cache_tokens = cache_tokens,
                                                      .max_tokens = 48,
                                                      .max_rows = 8,
                                                      .host_pages = host_pages,
                                                      .kv_dtype = DType::kF32,
                                                      .gpu = gpu_.get()});
    EXPECT_TRUE(runner) << runner.error().message;
    return *std::move(runner);
  }

  static std::unique_ptr<Engine> make_engine(std::unique_ptr<ModelRunner> runner,
                                             int64_t guess_tokens = 0) {
    return std::make_unique<Engine>(std::move(runner),
                                    EngineOptions{.scheduler = {.max_sequences = 8,
                                                                .step_tokens = 48,
                                                                .prompt_tokens = 20,
                                                                .preempt = Preempt::kSwap},
                                                  .guess_tokens = guess_tokens,
                                                  .context = kContext});
  }
  std::unique_ptr<Engine> make_engine(const GoldenModel& golden, int64_t cache_tokens,
                                      int64_t host_pages = 0) {
    return make_engine(make_runner(golden, cache_tokens, host_pages));
  }

  static Request request_of(const GoldenModel& golden, int32_t i) {
    Request request{
        .prompt = golden.prompt,
        .sampling = {.temperature = i % 2 == 0 ? 0.0 : 0.9, .seed = static_cast<uint64_t>(i)},
        .max_tokens = 20 + i};
    if (i == 3) request.sampling.top_p = 0.8;
    if (i == 5) request.sampling.top_k = 20;
    if (i == 7) request.sampling.min_p = 0.02;
    if (i % 3 == 1) request.sampling.logit_bias = {{i, 3.0f}, {2 * i, 2.0f}};
    if (i % 3 == 2) request.sampling.frequency_penalty = 0.5;
    if (i == 2 || i == 5) request.top_logprobs = 2;
    if (i == 5 || i == 6) testing::draw_here(request);
    for (int32_t t = 0; t < 6 * i; ++t) request.prompt.push_back((t * i) % 7);
    return request;
  }

  // Some have masks and forced tokens.
  static std::unique_ptr<Constraint> constraint_of(const GoldenModel& golden, int32_t i) {
    if (i % 4 > 1) return nullptr;
    return std::make_unique<ScriptedConstraint>(testing::ScriptedOptions{
        .vocab_size = golden.model->config().vocab_size, .seed = static_cast<uint64_t>(i)});
  }

  static void expect_same_logprobs(const std::vector<TokenEvent>& found,
                                   const std::vector<TokenEvent>& wanted) {
    ASSERT_EQ(found.size(), wanted.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i].chosen.logprob, wanted[i].chosen.logprob, 1e-5) << i;
      ASSERT_EQ(found[i].num_top, wanted[i].num_top) << i;
      for (size_t t = 0; t < static_cast<size_t>(found[i].num_top); ++t) {
        EXPECT_EQ(found[i].top[t].token, wanted[i].top[t].token) << i;
        EXPECT_NEAR(found[i].top[t].logprob, wanted[i].top[t].logprob, 1e-5) << i;
      }
    }
  }

  // One sequence, on the processor or on a GPU.
  static std::vector<int32_t> alone(const GoldenModel& golden, int32_t i, ops::Gpu* gpu = nullptr) {
    const auto constraint = constraint_of(golden, i);
    return alone(golden, request_of(golden, i), constraint.get(), gpu);
  }
  static std::vector<int32_t> alone(const GoldenModel& golden, const Request& request,
                                    Constraint* constraint = nullptr, ops::Gpu* gpu = nullptr) {
    auto session = Session::create(
        *golden.model, {.threads = 1, .context = kContext, .kv_dtype = DType::kF32, .gpu = gpu});
    EXPECT_TRUE(session) << session.error().message;
    std::vector<int32_t> tokens;
    const GenerateOptions options{
        .sampling = request.sampling, .max_tokens = request.max_tokens, .constraint = constraint};
    EXPECT_TRUE(generate(*session, request.prompt, options, [&](int32_t token) {
      tokens.push_back(token);
      return true;
    }));
    return tokens;
  }
};

// In f32 the GPU's logits are within 1e-6 of the processor's: the tokens are the same.
TEST_P(GpuEngine, MixturesAnswerAsOneOnTheProcessor) {
  const GoldenModel on_cpu = open_golden(GetParam());
  const GoldenModel on_gpu = open_golden(GetParam());
  ASSERT_TRUE(on_cpu.model && on_gpu.model);
  place(*on_gpu.model);
  for (const int64_t host_pages : {-1, 0, 4, 40}) {
    const bool is_tight = host_pages >= 0;
    const auto engine =
        make_engine(on_gpu, is_tight ? 192 : 2048, std::max<int64_t>(host_pages, 0));
    std::vector<std::shared_ptr<Stream>> streams;
    for (int32_t i = 0; i < 8; ++i) {
      const auto stream = engine->submit(request_of(on_gpu, i), constraint_of(on_gpu, i));
      ASSERT_TRUE(stream) << stream.error().message;
      streams.push_back(*stream);
    }
    for (int32_t i = 0; i < 8; ++i) {
      EXPECT_EQ(read(*streams[static_cast<size_t>(i)]).tokens(), alone(on_cpu, i)) << i;
    }
    EXPECT_TRUE(engine->stop_and_check());
    EXPECT_EQ(engine->stats().preemptions > 0, is_tight);
    EXPECT_EQ(engine->stats().swap.sequences > 0, host_pages > 0);
  }
}

// Prompts that push each other out of 6 pages come back from the processor's memory.
TEST_P(GpuEngine, PrefixesComeBackFromTheHost) {
  const GoldenModel on_cpu = open_golden(GetParam());
  const GoldenModel on_gpu = open_golden(GetParam());
  ASSERT_TRUE(on_cpu.model && on_gpu.model);
  place(*on_gpu.model);
  const auto engine = make_engine(on_gpu, 192, 20);
  for (int round = 0; round < 2; ++round) {
    for (int32_t i = 0; i < 4; ++i) {
      Request request{.prompt = on_gpu.prompt, .sampling = {.temperature = 0}, .max_tokens = 12};
      request.prompt.resize(100, 3 + i);
      std::rotate(request.prompt.begin(), request.prompt.begin() + 50 + i, request.prompt.end());
      const auto stream = engine->submit(request);
      ASSERT_TRUE(stream) << stream.error().message;
      const auto answer = read(**stream);
      EXPECT_EQ(answer.tokens(), alone(on_cpu, request)) << i;
      EXPECT_EQ(answer.usage.cached_tokens, round == 0 ? 0 : 96);
    }
  }
  EXPECT_TRUE(engine->stop_and_check());
  EXPECT_GT(engine->stats().prefix.hit_host, 3 * 96);
}

TEST_P(GpuEngine, DrawsAsTheProcessorDoes) {
  const GoldenModel on_cpu = open_golden(GetParam());
  const GoldenModel on_gpu = open_golden(GetParam());
  ASSERT_TRUE(on_cpu.model && on_gpu.model);
  place(*on_gpu.model);
  const auto engine = make_engine(on_gpu, 2048);
  for (int32_t i = 0; i < 8; ++i) {
    const auto wanted = alone(on_cpu, i);
    EXPECT_EQ(alone(on_gpu, i, gpu_.get()), wanted) << i;
    std::vector<TokenEvent> drawn_there;
    for (const bool here : {false, true}) {
      Request request = request_of(on_gpu, i);
      request.top_logprobs = 3;
      if (here) testing::draw_here(request);
      const auto stream = engine->submit(request, constraint_of(on_gpu, i));
      ASSERT_TRUE(stream) << stream.error().message;
      const auto answer = read(**stream);
      EXPECT_EQ(answer.tokens(), wanted) << i << (here ? ", drawn here" : ", drawn there");
      if (here) expect_same_logprobs(answer.events, drawn_there);
      drawn_there = answer.events;
    }
  }
}

// A draft that is the model itself: all that it draws is right.
TEST_P(GpuEngine, ADraftOnTheSameGpuChangesNoAnswer) {
  const GoldenModel on_cpu = open_golden(GetParam());
  const GoldenModel on_gpu = open_golden(GetParam());
  ASSERT_TRUE(on_cpu.model && on_gpu.model);
  place(*on_gpu.model);
  for (const int64_t guess_tokens : {1, 4, 7}) {
    auto runner = make_runner(on_gpu, 2048);
    runner->set_draft(make_runner(on_gpu, 2048));
    const auto engine = make_engine(std::move(runner), guess_tokens);
    std::vector<std::shared_ptr<Stream>> streams;
    for (int32_t i = 0; i < 8; ++i) {
      const auto stream = engine->submit(request_of(on_gpu, i), constraint_of(on_gpu, i));
      ASSERT_TRUE(stream) << stream.error().message;
      streams.push_back(*stream);
    }
    for (int32_t i = 0; i < 8; ++i) {
      EXPECT_EQ(read(*streams[static_cast<size_t>(i)]).tokens(), alone(on_cpu, i)) << i;
    }
    EXPECT_TRUE(engine->stop_and_check());
    EXPECT_GT(engine->stats().accepted_tokens, 0);
    EXPECT_GT(engine->stats().device_busy, 0);
  }
}

TEST_P(GpuEngine, ScoresAsTheProcessorDoes) {
  const GoldenModel on_cpu = open_golden(GetParam());
  const GoldenModel on_gpu = open_golden(GetParam());
  ASSERT_TRUE(on_cpu.model && on_gpu.model);
  place(*on_gpu.model);
  Request request = request_of(on_cpu, 9);
  request.max_tokens = 0;
  request.top_logprobs = 2;
  request.score_prompt = true;
  const auto scores = [&](const GoldenModel& golden, ops::Gpu* gpu) {
    auto session = Session::create(
        *golden.model, {.threads = 2, .context = kContext, .kv_dtype = DType::kF32, .gpu = gpu});
    EXPECT_TRUE(session) << session.error().message;
    return *session->score(request.prompt, 1);
  };
  const auto wanted = scores(on_cpu, nullptr);
  const auto found = scores(on_gpu, gpu_.get());
  const auto engine = make_engine(on_gpu, 2048);
  const auto stream = engine->submit(request);
  ASSERT_TRUE(stream) << stream.error().message;
  const auto answer = read(**stream);
  ASSERT_EQ(wanted.size(), request.prompt.size() - 1);
  ASSERT_EQ(found.size(), wanted.size());
  ASSERT_EQ(answer.events.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(found[i].logprob, wanted[i].logprob, 1e-4) << i;
    EXPECT_EQ(found[i].greedy, wanted[i].greedy) << i;
    EXPECT_EQ(answer.events[i].chosen.token, request.prompt[i + 1]) << i;
    EXPECT_NEAR(answer.events[i].chosen.logprob, wanted[i].logprob, 1e-4) << i;
    EXPECT_EQ(answer.events[i].num_top, 2) << i;
  }
}

TEST_P(GpuEngine, StopsForClientsThatGo) {
  const GoldenModel golden = open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  place(*golden.model);
  const auto engine = make_engine(golden, 2048);
  for (int32_t i = 0; i < 16; ++i) {
    const auto stream = engine->submit(request_of(golden, i % 8));
    ASSERT_TRUE(stream);
    std::this_thread::sleep_for(std::chrono::milliseconds(i % 4));
    (*stream)->cancel();
    read(**stream);
  }
  EXPECT_TRUE(engine->stop_and_check());
}

INSTANTIATE_TEST_SUITE_P(All, GpuEngine, ::testing::Values("qwen3-f32", "llama3-f32"));

}  // namespace
}  // namespace hachi::engine
