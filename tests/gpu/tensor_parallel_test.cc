// Two ranks with a GPU each, against one: this test starts its own program again as rank 1, which
// follows through the same list of models.
#include "engine/tensor_parallel.h"

#include <cstdlib>
#include <numeric>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/step_logits.h"
#include "gpu/gpu_fixture.h"
#include "model/golden_models.h"
#include "model/synthetic.h"

extern char** environ;

namespace hachi::engine {
namespace {

using testing::relative_error;
using testing::step_logits;

constexpr const char* kHere = "127.0.0.1";
constexpr const char* kPortVariable = "HACHI_TEST_RANK_0_PORT";

struct Case {
  const char* model;  // golden or synthetic
  DType kv_dtype;
  double most;  // relative error of the logits
};

// Ranks add in another order, which bf16 and 8 bits of the activations between products magnify:
// two results with x in 8 bits are each up to 6e-2 from the one without.
constexpr Case kCases[] = {{"qwen3-f32", DType::kF32, 1e-4},
                           {"mistral-window-bf16", DType::kBF16, 3e-2},
                           {"synthetic:tiny:f32", DType::kF32, 1e-4},
                           {"synthetic:tiny:bf16", DType::kBF16, 3e-2},
                           {"synthetic:tiny:f8_e4m3", DType::kBF16, 6e-2},
                           {"synthetic:tiny:q4_0", DType::kBF16, 6e-2},
                           {"synthetic:tiny:q8_0", DType::kBF16, 6e-2},
                           {"synthetic:qwen3-0.6b:bf16", DType::kBF16, 6e-2}};

struct Part {
  std::unique_ptr<ops::Gpu> gpu;
  std::unique_ptr<ops::Collective> collective;
  std::unique_ptr<model::Model> model;
  std::unique_ptr<ModelRunner> runner;
};

Result<formats::Checkpoint> open_checkpoint(const std::string& name) {
  if (name.starts_with(model::kSyntheticPrefix)) return model::synthetic_checkpoint(name);
  return formats::Checkpoint::open(hachi::testing::golden_folder(name));
}

// A rank's part on its GPU; `group` null: the whole model on the first.
Result<std::unique_ptr<Part>> open_part(const Case& one, RankGroup* group) {
  auto part = std::make_unique<Part>();
  TRY(auto checkpoint, open_checkpoint(one.model));
  const model::Shard shard =
      group != nullptr ? model::Shard{group->rank(), group->size()} : model::Shard{};
  TRY(part->gpu, ops::Gpu::open({.index = shard.rank, .left_bytes = uint64_t{1} << 30}));
  TRY(auto model,
      model::Model::load(std::make_shared<const formats::Checkpoint>(std::move(checkpoint)),
                         {.yarn_magnitude = model::YarnMagnitude::kTransformers}, shard));
  part->model = std::make_unique<model::Model>(std::move(model));
  ThreadPool pool(2);
  ops::Context ctx{.device = ops::Device::kCuda, .pool = &pool};
  ctx.gpu = part->gpu.get();
  TRY(part->model->repack(ctx));
  if (group != nullptr) {
    TRY(part->collective, make_collective(*group, part->gpu.get()));
  }
  TRY(part->runner, ModelRunner::create(*part->model, {.threads = 2,
                                                       .cache_tokens = 1024,
                                                       .max_tokens = 128,
                                                       .max_rows = 64,
                                                       .kv_dtype = one.kv_dtype,
                                                       .gpu = part->gpu.get(),
                                                       .collective = part->collective.get()}));
  return part;
}

std::vector<int32_t> prompt() {
  std::vector<int32_t> ids(60);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 37 % 157);
  return ids;
}

// With one token at a time steps are kept and replayed.
constexpr size_t kSteps[] = {60, 1, 7, 33};

// Tokens of eight requests at once, drawn on the GPU, steps ahead of what is known.
std::vector<std::vector<int32_t>> answers(std::unique_ptr<StepModel> model) {
  Engine engine(std::move(model),
                {.scheduler = {.max_sequences = 8, .step_tokens = 128, .prompt_tokens = 64}});
  std::vector<std::shared_ptr<Stream>> streams;
  for (int32_t i = 0; i < 8; ++i) {
    Request request{.prompt = prompt(), .sampling = {.temperature = 0}, .max_tokens = 24 + i};
    request.prompt.resize(static_cast<size_t>(20 + 5 * i));
    if (i == 3) request.top_logprobs = 2;
    if (i == 4) testing::draw_here(request);
    auto stream = engine.submit(std::move(request));
    EXPECT_TRUE(stream) << stream.error().message;
    streams.push_back(*stream);
  }
  std::vector<std::vector<int32_t>> all;
  for (const auto& stream : streams) all.push_back(testing::read(*stream).tokens());
  EXPECT_TRUE(engine.stop_and_check());
  return all;
}

// Rank 1 of the test below; not a test of its own.
TEST(GpuRanks, FollowAsRankOne) {
  const char* port = std::getenv(kPortVariable);
  if (port == nullptr) GTEST_SKIP() << "skipped: it is the other half of the next test";
  const auto group =
      RankGroup::join({.rank = 1, .size = 2, .host = kHere, .port = std::atoi(port)});
  ASSERT_TRUE(group) << group.error().message;
  for (const Case& one : kCases) {
    auto part = open_part(one, group->get());
    ASSERT_TRUE(part) << part.error().message;
    const auto followed = follow(**group, *(*part)->runner);
    ASSERT_TRUE(followed) << followed.error().message;
  }
  (*group)->wait_for_end();
}

pid_t start_rank_one(int port) {
  std::vector<std::string> environment = {std::string(kPortVariable) + "=" + std::to_string(port)};
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  std::vector<char*> pointers;
  for (std::string& entry : environment) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  std::string program = "gpu_test", filter = "--gtest_filter=GpuRanks.FollowAsRankOne";
  char* arguments[] = {program.data(), filter.data(), nullptr};
  pid_t pid = 0;
  EXPECT_EQ(posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, arguments, pointers.data()), 0);
  return pid;
}

TEST(GpuRanks, TwoAreAsOne) {
  if (ops::list_gpus().size() < 2) GTEST_SKIP() << "skipped: there are no two GPUs here";
  auto listener = ListenSocket::open(kHere, 0);
  ASSERT_TRUE(listener) << listener.error().message;
  const int port = listener->port();
  const pid_t other = start_rank_one(port);
  auto group = RankGroup::lead(*std::move(listener), {.size = 2, .host = kHere, .port = port});
  ASSERT_TRUE(group) << group.error().message;
  for (const Case& one : kCases) {
    const bool exact = one.kv_dtype == DType::kF32;
    std::vector<std::vector<float>> wanted;
    std::vector<std::vector<int32_t>> wanted_tokens;
    {
      auto whole = open_part(one, nullptr);
      ASSERT_TRUE(whole) << whole.error().message;
      for (const size_t step : kSteps)
        wanted.push_back(step_logits(*(*whole)->runner, prompt(), step));
      wanted_tokens = answers(std::move((*whole)->runner));
    }
    auto part = open_part(one, group->get());
    ASSERT_TRUE(part) << part.error().message;
    auto model = std::make_unique<LeadingModel>(**group, std::move((*part)->runner));
    for (size_t i = 0; i < std::size(kSteps); ++i) {
      const double error = relative_error(step_logits(*model, prompt(), kSteps[i]), wanted[i]);
      EXPECT_LE(error, one.most) << one.model << ", " << kSteps[i] << " tokens a step";
      printf("  %s, %zu tokens a step: %.2e\n", one.model, kSteps[i], error);
    }
    const auto tokens = answers(std::move(model));
    size_t same = 0;
    for (size_t i = 0; i < tokens.size(); ++i) same += tokens[i] == wanted_tokens[i] ? 1 : 0;
    printf("  %s: %zu of %zu answers the same\n", one.model, same, tokens.size());
    if (exact) {
      EXPECT_EQ(tokens, wanted_tokens) << one.model;
    }
  }
  (*group)->end();
  int status = 0;
  waitpid(other, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace hachi::engine
