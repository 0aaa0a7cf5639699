// The engine's promises on a GPU: mixtures, a cache that is too small, shared beginnings, clients
// that go.
#include "engine/engine.h"

#include <thread>

#include <gtest/gtest.h>

#include "engine/engine_fixture.h"
#include "engine/generate.h"
#include "engine/model_runner.h"
#include "gpu/gpu_fixture.h"
#include "model/golden_models.h"

namespace hachi::engine {
namespace {

using hachi::testing::GoldenModel;
using hachi::testing::open_golden;
using testing::read;

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
    for (int32_t t = 0; t < 6 * i; ++t) request.prompt.push_back((t * i) % 7);
    return request;
  }

  // On the processor, one sequence.
  static std::vector<int32_t> alone(const GoldenModel& golden, const Request& request) {
    auto session = Session::create(*golden.model,
                                   {.threads = 1, .context = kContext, .kv_dtype = DType::kF32});
    EXPECT_TRUE(session) << session.error().message;
    std::vector<int32_t> tokens;
    const GenerateOptions options{.sampling = request.sampling, .max_tokens = request.max_tokens};
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
      const auto stream = engine->submit(request_of(on_gpu, i));
      ASSERT_TRUE(stream) << stream.error().message;
      streams.push_back(*stream);
    }
    for (int32_t i = 0; i < 8; ++i) {
      EXPECT_EQ(read(*streams[static_cast<size_t>(i)]).tokens(),
                alone(on_cpu, request_of(on_cpu, i)))
          << i;
    }
    EXPECT_TRUE(engine->stop_and_check());
    EXPECT_EQ(engine->stats().preemptions > 0, is_tight);
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
