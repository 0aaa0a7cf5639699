// Constraints in the engine: what is masked is never drawn, what is forced comes and costs one
// step.
#include "engine/constraint.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/engine_fixture.h"

namespace hachi::engine {
namespace {

using testing::Answer;
using testing::answer_alone;
using testing::FakeModel;
using testing::FakeModelOptions;
using testing::read;

constexpr int64_t kVocab = 50;

std::vector<uint32_t> mask_of(const std::vector<int32_t>& tokens, size_t words = 2) {
  std::vector<uint32_t> mask(words);
  for (const int32_t token : tokens) {
    mask[static_cast<size_t>(token / 32)] |= uint32_t{1} << (token % 32);
  }
  return mask;
}

// Forces `run` from its token `begin` on, then allows `tokens`; over after `most` tokens.
class PlainConstraint : public Constraint {
 public:
  PlainConstraint(std::vector<int32_t> tokens, size_t begin, std::vector<int32_t> run,
                  size_t most = 1000)
      : mask_(mask_of(tokens)), begin_(begin), run_(std::move(run)), most_(most) {}

  std::span<const uint32_t> mask() override { return mask_; }
  std::optional<int32_t> forced() override {
    if (at_ < begin_ || at_ - begin_ >= run_.size()) return std::nullopt;
    return run_[at_ - begin_];
  }
  int64_t forced_run(std::span<int32_t> out) override {
    if (at_ < begin_ || at_ - begin_ >= run_.size()) return 0;
    const auto left = std::span(run_).subspan(at_ - begin_);
    const size_t count = std::min(left.size(), out.size());
    std::copy_n(left.begin(), count, out.begin());
    return static_cast<int64_t>(count);
  }
  void accept(int32_t) override { ++at_; }
  bool finished() const override { return at_ >= most_; }

 private:
  std::vector<uint32_t> mask_;
  size_t begin_;
  std::vector<int32_t> run_;
  size_t most_;
  size_t at_ = 0;
};

EngineOptions options(int64_t guess_tokens = 0) {
  return {
      .scheduler = {.max_sequences = 8, .step_tokens = 32, .prompt_tokens = 8, .page_tokens = 4},
      .guess_tokens = guess_tokens};
}

TEST(Mask, IsAllThatIsDrawnFrom) {
  std::vector<float> logits(kVocab);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 7);
  SamplerScratch scratch(kVocab);
  const std::vector<int32_t> tokens = {0, 3, 31, 32, 44};
  const auto mask = mask_of(tokens);
  for (const SamplingParams& params :
       {SamplingParams{}, SamplingParams{.top_k = 2}, SamplingParams{.top_p = 0.5},
        SamplingParams{.min_p = 0.4}, SamplingParams{.repetition_penalty = 1.2}}) {
    const Sampler sampler(params, 10);
    std::set<int32_t> found;
    for (uint64_t at = 0; at < 2000; ++at) {
      found.insert(sampler.sample(logits, at, scratch, {}, mask));
    }
    for (const int32_t token : found) {
      EXPECT_NE(std::find(tokens.begin(), tokens.end(), token), tokens.end()) << token;
    }
    if (params.top_k == 0 && params.top_p == 1 && params.min_p == 0) {
      EXPECT_EQ(found.size(), tokens.size());
    }
  }
}

TEST(Mask, HoldsForTheMostLikelyToo) {
  std::vector<float> logits(kVocab);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i);
  const std::vector<int32_t> banned = {44};
  SamplerScratch scratch(kVocab);
  const Sampler plain({.temperature = 0}, 10);
  const Sampler biased({.temperature = 0, .logit_bias = {{3, 100.0f}, {5, 200.0f}}}, 10);
  const auto mask = mask_of({0, 3, 31, 44});
  EXPECT_EQ(plain.sample(logits, 0, scratch, {}, mask), 44);
  EXPECT_EQ(plain.sample(logits, 0, scratch, banned, mask), 31);
  EXPECT_EQ(biased.sample(logits, 0, scratch, {}, mask), 3);
  // A ban that would leave nothing does not hold.
  EXPECT_EQ(plain.sample(logits, 0, scratch, banned, mask_of({44})), 44);
  // Tokens behind the last word may not come.
  EXPECT_EQ(plain.sample(logits, 0, scratch, {}, mask_of({7}, 1)), 7);
  std::fill(logits.begin(), logits.end(), NAN);
  EXPECT_EQ(plain.sample(logits, 0, scratch, {}, mask), 0);
  EXPECT_EQ(plain.sample(logits, 0, scratch, {}, mask_of({9, 12})), 9);
}

TEST(EngineConstraint, EndsWhereNothingCanFollow) {
  Engine engine(std::make_unique<FakeModel>(FakeModelOptions{}), options());
  const Request request{.prompt = {1, 2}, .max_tokens = 20, .min_tokens = 5};
  const auto none =
      read(**engine.submit(request, std::make_unique<PlainConstraint>(std::vector<int32_t>{}, 0,
                                                                      std::vector<int32_t>{4, 5})));
  EXPECT_EQ(none.tokens(), (std::vector<int32_t>{4, 5}));
  EXPECT_EQ(none.finish, Finish::kStop);
  const auto over = read(
      **engine.submit(request, std::make_unique<PlainConstraint>(std::vector<int32_t>{7, 9}, 99,
                                                                 std::vector<int32_t>{}, 3)));
  EXPECT_EQ(over.tokens().size(), 3u);
  EXPECT_EQ(over.finish, Finish::kStop);
}

TEST(EngineConstraint, MinTokensLosesAgainstAMaskThatLeavesOnlyTheEnd) {
  Engine engine(std::make_unique<FakeModel>(FakeModelOptions{}), options());
  const Request request{.prompt = {1, 2}, .max_tokens = 20, .min_tokens = 5, .stop_ids = {7}};
  const auto answer =
      read(**engine.submit(request, std::make_unique<PlainConstraint>(std::vector<int32_t>{7}, 0,
                                                                      std::vector<int32_t>{4})));
  EXPECT_EQ(answer.tokens(), (std::vector<int32_t>{4}));
  EXPECT_EQ(answer.finish, Finish::kStop);
}

TEST(EngineConstraint, AForcedRunCostsOneStep) {
  const std::vector<int32_t> run = {11, 12, 13, 14, 15, 16};
  const Request request{.prompt = {1, 2}, .sampling = {.seed = 3}, .max_tokens = 10};
  const auto constraint = [&] {
    return std::make_unique<PlainConstraint>(std::vector<int32_t>{20, 30, 40}, 1, run);
  };
  const auto alone = answer_alone(request, kVocab, 1000, constraint().get());
  for (const int64_t guess : {0, 7}) {
    std::atomic<int64_t> steps{0};
    Engine engine(std::make_unique<FakeModel>(
                      FakeModelOptions{.on_step = [&](const ops::BatchView&) { ++steps; }}),
                  options(guess));
    const auto answer = read(**engine.submit(request, constraint()));
    testing::expect_same(answer, alone);
    EXPECT_TRUE(std::equal(run.begin(), run.end(), answer.tokens().begin() + 1));
    // The prompt with the first token, then a step for the run and the token behind it, and one for
    // each of the last two, unless they were guessed too.
    EXPECT_LE(steps, guess == 0 ? 10 : 4);
    EXPECT_TRUE(engine.stop_and_check());
  }
}

}  // namespace
}  // namespace hachi::engine
