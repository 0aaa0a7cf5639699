// Ranks that share a model, as threads of this process that speak TCP: the logits and the tokens of
// one rank.
#include "engine/tensor_parallel.h"

#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/step_logits.h"
#include "model/golden_models.h"

namespace hachi::engine {
namespace {

using hachi::testing::golden_folder;
using hachi::testing::open_golden;
using testing::relative_error;
using testing::step_logits;

constexpr const char* kHere = "127.0.0.1";

struct Weights {
  std::unique_ptr<model::Model> model;
  std::unique_ptr<ops::Collective> collective;
  std::unique_ptr<ModelRunner> runner;
};

// A rank's part of a golden model; `group` null: all of it.
Weights open_part(const std::string& name, RankGroup* group, bool repacked,
                  int64_t cache_tokens = 512, int64_t host_pages = 0) {
  Weights part;
  auto checkpoint = formats::Checkpoint::open(golden_folder(name));
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  const model::Shard shard =
      group != nullptr ? model::Shard{group->rank(), group->size()} : model::Shard{};
  auto model =
      model::Model::load(std::make_shared<const formats::Checkpoint>(*std::move(checkpoint)),
                         {.yarn_magnitude = model::YarnMagnitude::kTransformers,
                          .context = hachi::testing::kGoldenContext},
                         shard);
  EXPECT_TRUE(model) << model.error().message;
  part.model = std::make_unique<model::Model>(*std::move(model));
  if (repacked) {
    ThreadPool pool(1);
    ops::Context ctx{.pool = &pool};
    EXPECT_TRUE(part.model->repack(ctx));
  }
  if (group != nullptr) {
    auto collective = make_collective(*group, nullptr);
    EXPECT_TRUE(collective) << collective.error().message;
    part.collective = *std::move(collective);
  }
  auto runner = ModelRunner::create(*part.model, {.threads = 1,
                                                  .cache_tokens = cache_tokens,
                                                  .max_tokens = 48,
                                                  .max_rows = 48,
                                                  .host_pages = host_pages,
                                                  .kv_dtype = DType::kF32,
                                                  .collective = part.collective.get()});
  EXPECT_TRUE(runner) << runner.error().message;
  part.runner = *std::move(runner);
  return part;
}

// Calls lead(model) on rank 0 of `size`, while the others follow it.
void with_ranks(const std::string& name, int size, bool repacked,
                const std::function<void(std::unique_ptr<StepModel>)>& lead,
                int64_t cache_tokens = 512, int64_t host_pages = 0) {
  auto listener = ListenSocket::open(kHere, 0);
  ASSERT_TRUE(listener) << listener.error().message;
  const RankPlace place{.size = size, .host = kHere, .port = listener->port(), .key = "of a test"};
  std::vector<std::thread> others;
  for (int rank = 1; rank < size; ++rank) {
    others.emplace_back([&, rank] {
      RankPlace own = place;
      own.rank = rank;
      auto group = RankGroup::join(own);
      ASSERT_TRUE(group) << group.error().message;
      const Weights part = open_part(name, group->get(), repacked, cache_tokens, host_pages);
      const auto followed = follow(**group, *part.runner);
      EXPECT_TRUE(followed) << followed.error().message;
      (*group)->wait_for_end();
    });
  }
  auto group = RankGroup::lead(*std::move(listener), place);
  ASSERT_TRUE(group) << group.error().message;
  Weights part = open_part(name, group->get(), repacked, cache_tokens, host_pages);
  lead(std::make_unique<LeadingModel>(**group, std::move(part.runner)));
  (*group)->end();
  for (std::thread& other : others) other.join();
}

class TensorParallel : public ::testing::TestWithParam<const char*> {};

// Sums over ranks have another order: f32 rounding, and where x is rounded to 8 bits one step of
// those now and then.
TEST_P(TensorParallel, LogitsAreThoseOfOneRank) {
  const std::string name = GetParam();
  const auto golden = open_golden(name);
  ASSERT_TRUE(golden.model);
  const bool in_blocks = name.find("gptq") != name.npos || name.find("awq") != name.npos ||
                         name.find("packed") != name.npos;
  for (const bool repacked : {false, true}) {
    const Weights whole = open_part(name, nullptr, repacked);
    const auto wanted = step_logits(*whole.runner, golden.prompt, 5);
    with_ranks(name, 2, repacked, [&](std::unique_ptr<StepModel> model) {
      const double error = relative_error(step_logits(*model, golden.prompt, 5), wanted);
      EXPECT_LE(error, in_blocks ? 2e-3 : 2e-6) << (repacked ? "repacked" : "as they are");
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, TensorParallel,
                         ::testing::Values("qwen3-f32", "qwen3-yarn-bf16", "llama-bf16",
                                           "llama-fp8", "mistral-window-bf16", "gemma-bf16",
                                           "phi3-window-bf16", "qwen3-gptq", "qwen3-gptq-zeros",
                                           "qwen3-gptq-8", "qwen3-awq", "qwen3-packed",
                                           "qwen3-float-quantized"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(TensorParallelEngine, FourRanksAnswerAsTransformers) {
  const auto golden = open_golden("llama-bf16");
  ASSERT_TRUE(golden.model);
  with_ranks("llama-bf16", 4, true, [&](std::unique_ptr<StepModel> model) {
    Engine engine(std::move(model),
                  {.scheduler = {.max_sequences = 4, .step_tokens = 48, .prompt_tokens = 20}});
    std::vector<std::shared_ptr<Stream>> streams;
    for (int i = 0; i < 4; ++i) {
      const auto stream = engine.submit(
          {.prompt = golden.prompt, .sampling = {.temperature = 0}, .max_tokens = 24 + i});
      ASSERT_TRUE(stream) << stream.error().message;
      streams.push_back(*stream);
    }
    for (size_t i = 0; i < streams.size(); ++i) {
      const auto tokens = testing::read(*streams[i]).tokens();
      ASSERT_EQ(tokens.size(), 24 + i);
      EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), golden.greedy.begin()));
    }
    EXPECT_TRUE(engine.stop_and_check());
  });
}

// With pages for two or three requests: the others' move to the processor's memory and back, on all
// ranks.
TEST(TensorParallelEngine, MovesThePagesOfAllRanks) {
  const auto golden = open_golden("qwen3-f32");
  ASSERT_TRUE(golden.model);
  const auto swaps = [&](std::unique_ptr<StepModel> model) {
    Engine engine(std::move(model), {.scheduler = {.max_sequences = 8,
                                                   .step_tokens = 48,
                                                   .prompt_tokens = 20,
                                                   .share_prefixes = false,
                                                   .preempt = Preempt::kSwap}});
    std::vector<std::shared_ptr<Stream>> streams;
    for (int i = 0; i < 8; ++i) {
      const auto stream = engine.submit(
          {.prompt = golden.prompt, .sampling = {.temperature = 0}, .max_tokens = 56 + i});
      ASSERT_TRUE(stream) << stream.error().message;
      streams.push_back(*stream);
    }
    for (const auto& stream : streams) {
      const auto tokens = testing::read(*stream).tokens();
      EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), golden.greedy.begin()));
    }
    EXPECT_TRUE(engine.stop_and_check());
    EXPECT_GT(engine.stats().preemptions, 0);
    EXPECT_GT(engine.stats().swap.in, 0);
  };
  with_ranks("qwen3-f32", 2, true, swaps, 192, 64);
}

TEST(TensorParallelModel, RefusesWhatCannotBeDivided) {
  const auto golden = open_golden("qwen3-f32");
  ASSERT_TRUE(golden.model);
  const auto four = model::Model::load(golden.checkpoint, {}, {.rank = 0, .size = 4});
  ASSERT_FALSE(four);
  EXPECT_EQ(four.error().code, Code::kInvalidArgument);
  EXPECT_NE(four.error().message.find("2 key/value heads"), std::string::npos);
  // Scales of 128 x 128, and 24 rows a rank.
  const auto blocks = open_golden("qwen3-fp8-blocks");
  const auto two = model::Model::load(blocks.checkpoint, {}, {.rank = 1, .size = 2});
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().code, Code::kUnsupported);
}

TEST(RankGroup, TurnsStrangersAway) {
  auto listener = ListenSocket::open(kHere, 0);
  ASSERT_TRUE(listener);
  const int port = listener->port();
  RankPlace place{.size = 2, .host = kHere, .port = port, .key = "one"};
  std::thread other([&] {
    auto stranger = Socket::connect(kHere, port, std::chrono::seconds(1));
    ASSERT_TRUE(stranger);
    const std::array<std::byte, 80> nonsense{};
    EXPECT_TRUE(stranger->send(nonsense));
    RankPlace own = place;
    own.rank = 1;
    auto group = RankGroup::join(own);
    ASSERT_TRUE(group) << group.error().message;
    EXPECT_EQ((*group)->least(7), 3);
    EXPECT_FALSE((*group)->all_say(1));
    (*group)->wait_for_end();
  });
  auto group = RankGroup::lead(*std::move(listener), place);
  ASSERT_TRUE(group) << group.error().message;
  EXPECT_EQ((*group)->least(3), 3);
  EXPECT_FALSE((*group)->all_say(2));
  (*group)->end();
  other.join();
}

// A group that has lost a rank ends its process with a sentence that names it.
TEST(RankGroupDeathTest, EndsWithALostRank) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto lose_one = [] {
    auto listener = ListenSocket::open(kHere, 0);
    RankPlace place{.size = 2, .host = kHere, .port = listener->port()};
    std::thread other([place]() mutable {
      place.rank = 1;
      auto group = RankGroup::join(place);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    });
    auto group = RankGroup::lead(*std::move(listener), place);
    if (group) (*group)->least(1);
  };
  EXPECT_EXIT(lose_one(), ::testing::ExitedWithCode(2), "rank 1 of 2 (is lost|gave up)");
}

}  // namespace
}  // namespace hachi::engine
