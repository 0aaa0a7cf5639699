// The engine's promises on a GPU: mixtures, a cache that is too small, shared beginnings, clients
// that go.
#include "engine/engine.h"

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
  std::unique_ptr<Engine> make_engine(const GoldenModel& golden, int64_t cache_tokens) {
    auto runner = ModelRunner::create(*golden.model, {.threads = 2,
                                                      .cache_tokens = cache_tokens,
                                                      .max_tokens = 48,
                                                      .max_rows = 8,
                                                      .kv_dtype = DType::kF32,
                                                      .gpu = gpu_.get()});
    EXPECT_TRUE(runner) << runner.error().message;
    return std::make_unique<Engine>(
        *std::move(runner),
        EngineOptions{.scheduler = {.max_sequences = 8, .step_tokens = 48, .prompt_tokens = 20},
                      .context = kContext});
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
    if (i == 2 || i == 5) request.top_logprobs = 2;  // its logits come to the processor
    for (int32_t t = 0; t < 6 * i; ++t) request.prompt.push_back((t * i) % 7);
    return request;
  }

  // Some have masks and forced tokens.
  static std::unique_ptr<Constraint> constraint_of(const GoldenModel& golden, int32_t i) {
    if (i % 4 > 1) return nullptr;
    return std::make_unique<ScriptedConstraint>(testing::ScriptedOptions{
        .vocab_size = golden.model->config().vocab_size, .seed = static_cast<uint64_t>(i)});
  }

  // One sequence, on the processor or on a GPU.
  static std::vector<int32_t> alone(const GoldenModel& golden, int32_t i, ops::Gpu* gpu = nullptr) {
    auto session = Session::create(
        *golden.model, {.threads = 1, .context = kContext, .kv_dtype = DType::kF32, .gpu = gpu});
    EXPECT_TRUE(session) << session.error().message;
    std::vector<int32_t> tokens;
    const Request request = request_of(golden, i);
    const auto constraint = constraint_of(golden, i);
    const GenerateOptions options{.sampling = request.sampling,
                                  .max_tokens = request.max_tokens,
                                  .constraint = constraint.get()};
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
  for (const bool is_tight : {false, true}) {
    const auto engine = make_engine(on_gpu, is_tight ? 192 : 2048);
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
  }
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
    for (const int top_logprobs : {-1, 0}) {  // drawn there, and here
      Request request = request_of(on_gpu, i);
      request.top_logprobs = top_logprobs;
      const auto stream = engine->submit(request, constraint_of(on_gpu, i));
      ASSERT_TRUE(stream) << stream.error().message;
      EXPECT_EQ(read(**stream).tokens(), wanted) << i << ", logprobs " << top_logprobs;
    }
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
