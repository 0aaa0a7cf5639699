// The timed work of `hachi bench`: that it runs what it says, and the least work that it counts.
#include <gtest/gtest.h>

#include "cli/bench_report.h"
#include "cli/bench_runner.h"
#include "model/synthetic.h"

namespace hachi::cli {
namespace {

using Kind = BenchTask::Kind;

const std::function<bool()> kNever = [] { return false; };

model::Model tiny_model() {
  auto checkpoint = model::synthetic_checkpoint("synthetic:tiny:q8_0");
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  auto model =
      model::Model::load(std::make_shared<const formats::Checkpoint>(*std::move(checkpoint)));
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

TEST(BenchRunner, RunsTasksInAnyOrder) {
  const model::Model model = tiny_model();
  auto runner = BenchRunner::create(model, nullptr, 3, 500, DType::kF16);
  ASSERT_TRUE(runner) << runner.error().message;
  for (const int threads : {2, 1}) {
    ASSERT_TRUE(runner->set_threads(threads, false));
    runner->first_token();
    for (const BenchTask& task :
         {BenchTask{Kind::kDecode, 2, 498, 3}, BenchTask{Kind::kPrefill, 300, 200, 1},
          BenchTask{Kind::kDecode, 1, 0, 1}, BenchTask{Kind::kPrefill, 500, 0, 1}}) {
      const auto seconds = runner->run(task, kNever);
      ASSERT_TRUE(seconds);
      EXPECT_GT(*seconds, 0);
    }
  }
}

TEST(BenchRunner, TellsStagesThatFillTheTime) {
  const model::Model model = tiny_model();
  auto runner = BenchRunner::create(model, nullptr, 1, 100, DType::kF16);
  ASSERT_TRUE(runner) << runner.error().message;
  ASSERT_TRUE(runner->set_threads(1, false));
  const Stopwatch watch;
  const auto stages = runner->stages({Kind::kDecode, 3, 40, 1}, kNever);
  ASSERT_TRUE(stages);
  double sum = 0;
  for (const double seconds : *stages) {
    EXPECT_GT(seconds, 0);
    sum += seconds;
  }
  EXPECT_LT(sum, watch.seconds());
}

TEST(BenchRunner, StopsBetweenSteps) {
  const model::Model model = tiny_model();
  auto runner = BenchRunner::create(model, nullptr, 1, 400, DType::kF32);
  ASSERT_TRUE(runner) << runner.error().message;
  ASSERT_TRUE(runner->set_threads(1, false));
  int asked = 0;
  const auto third_time = [&] { return ++asked == 3; };
  EXPECT_FALSE(runner->run({Kind::kDecode, 10, 0, 1}, third_time));
  EXPECT_EQ(asked, 3);
  asked = 2;
  EXPECT_FALSE(runner->run({Kind::kPrefill, 400, 0, 1}, third_time));
}

// SmolLM2-135M by hand: a layer has 576 x (576 + 192 + 192 + 576 + 3 * 1536) weights, the head
// 49152 x 576; a token's keys and values take 2 x 30 x 192 x 2 bytes.
TEST(BenchReport, CountsTheLeastWork) {
  BenchReport report;
  report.config.vocab_size = 49152;
  report.config.hidden_size = 576;
  report.config.num_layers = 30;
  report.config.num_heads = 9;
  report.config.num_kv_heads = 3;
  report.config.head_dim = 64;
  report.config.ffn_size = 1536;
  report.bytes_per_token = 1000000;
  constexpr double kLayers = 30.0 * 576 * (576 + 192 + 192 + 576 + 3 * 1536);
  constexpr double kHead = 49152.0 * 576;

  const BenchWork prefill = work_of(report, {Kind::kPrefill, 100, 7, 1});
  EXPECT_DOUBLE_EQ(prefill.operations, 2 * (100 * kLayers + kHead));
  EXPECT_EQ(prefill.bytes, 0);

  // Three steps with 11, 12 and 13 positions to read, the new one included, in four sequences.
  const BenchWork decode = work_of(report, {Kind::kDecode, 3, 10, 4});
  EXPECT_DOUBLE_EQ(decode.operations, 3 * 4 * 2 * (kLayers + kHead));
  EXPECT_DOUBLE_EQ(decode.bytes, 3 * 1e6 + 4 * (11 + 12 + 13) * 2.0 * 30 * 192 * 2);
}

TEST(BenchReport, CountsAllSequencesTokens) {
  const BenchRow row{{Kind::kDecode, 10, 0, 4}, {}, {}};
  EXPECT_DOUBLE_EQ(row.tokens_per_second(2), 20);
}

}  // namespace
}  // namespace hachi::cli
