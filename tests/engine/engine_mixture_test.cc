// The promise of the engine: with a seed, a request's answer is the same alone, in any mixture of
// requests, with its beginning cached or not, cut or whole, put back or not, its pages moved to the
// host and back or not, guessed ahead or not, under a constraint or not, drawn by the model or not,
// by a model that runs ahead or not, guessed by another model or not.
#include <random>

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/scripted_constraint.h"

namespace hachi::engine {
namespace {

using namespace std::chrono_literals;
using testing::Answer;
using testing::answer_alone;
using testing::expect_same;
using testing::FakeModel;
using testing::FakeModelOptions;
using testing::read;
using testing::ScriptedConstraint;
using testing::ScriptedOptions;

constexpr int64_t kVocab = 40;

class Draw {
 public:
  explicit Draw(uint32_t seed) : random_(seed) {}
  int64_t between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
  double real(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }

 private:
  std::mt19937 random_;
};

SamplingParams draw_sampling(Draw& draw) {
  SamplingParams params{.temperature = draw.chance(0.3) ? 0 : draw.real(0.1, 2),
                        .seed = static_cast<uint64_t>(draw.between(0, 1 << 30))};
  if (draw.chance(0.3)) params.top_k = draw.between(1, 10);
  if (draw.chance(0.3)) params.top_p = draw.real(0.3, 1);
  if (draw.chance(0.2)) params.min_p = draw.real(0, 0.3);
  if (draw.chance(0.2)) params.repetition_penalty = draw.real(1, 2);
  if (draw.chance(0.2)) params.frequency_penalty = draw.real(-1, 1);
  if (draw.chance(0.2)) params.logit_bias = {{static_cast<int32_t>(draw.between(0, 39)), 2.0f}};
  return params;
}

Request draw_request(Draw& draw, int64_t context) {
  Request request;
  request.sampling = draw_sampling(draw);
  // A few long common beginnings, then a tail of its own.
  const int64_t common = draw.between(0, context / 3);
  const int64_t family = draw.between(0, 2);
  for (int64_t i = 0; i < common; ++i) {
    request.prompt.push_back(static_cast<int32_t>((i * i + family) % kVocab));
  }
  for (int64_t i = draw.between(1, context / 4); i > 0; --i) {
    request.prompt.push_back(static_cast<int32_t>(draw.between(0, kVocab - 1)));
  }
  const int64_t left = context - static_cast<int64_t>(request.prompt.size());
  request.max_tokens = draw.chance(0.1) ? 0 : draw.chance(0.1) ? -1 : draw.between(1, left);
  if (draw.chance(0.3)) request.stop_ids = {static_cast<int32_t>(draw.between(0, kVocab - 1))};
  if (draw.chance(0.2)) request.min_tokens = draw.between(1, 20);
  if (draw.chance(0.3)) request.top_logprobs = static_cast<int>(draw.between(0, 20));
  if (draw.chance(0.1)) {
    request.score_prompt = true;
    request.top_logprobs = static_cast<int>(draw.between(0, 3));
  } else if (draw.chance(0.05)) {
    request.max_tokens = 0;
    request.pooling = draw.chance(0.5) ? Pooling::kMean : Pooling::kLast;
  }
  if (draw.chance(0.2)) testing::draw_here(request);
  request.priority = static_cast<int>(draw.between(-1, 1));
  request.user = static_cast<uint64_t>(draw.between(0, 3));
  request.salt = static_cast<uint64_t>(draw.between(0, 1));
  return request;
}

std::optional<ScriptedOptions> draw_constraint(Draw& draw) {
  if (draw.chance(0.5)) return std::nullopt;
  ScriptedOptions options{.vocab_size = kVocab, .seed = static_cast<uint64_t>(draw.between(0, 99))};
  if (draw.chance(0.5)) options.run_share = draw.real(0, 0.5);
  if (draw.chance(0.2)) options.end_share = 0.05;
  if (draw.chance(0.2)) options.none_share = 0.1;
  return options;
}

class EngineMixture : public ::testing::TestWithParam<uint32_t> {};

TEST_P(EngineMixture, EachAnswerIsAsIfItWereAlone) {
  Draw draw(GetParam());
  FakeModelOptions model{.vocab_size = kVocab,
                         .page_tokens = draw.between(1, 9),
                         .max_tokens = 64,
                         .max_rows = draw.between(7, 12),
                         .threads = static_cast<int>(draw.between(1, 2)),
                         .draws = GetParam() % 3 == 1,
                         .runs_ahead = GetParam() % 3 == 2};
  // From room for all to room for two: then sequences give up their pages for others.
  const int64_t context = 96;
  model.num_pages = context / model.page_tokens * draw.between(1, 12) + draw.between(1, 3);
  // From none to more than the device has.
  if (draw.chance(0.7)) model.host_pages = draw.between(1, 2 * model.num_pages);
  const Preempt preempt = draw.chance(0.7)   ? Preempt::kSwap
                          : draw.chance(0.5) ? Preempt::kAuto
                                             : Preempt::kRecompute;
  const int64_t most = model.runs_ahead ? model.max_rows : 16;
  const EngineOptions options{
      .scheduler = {.max_sequences = draw.between(1, most),
                    .step_tokens = draw.between(16, 64),
                    .prompt_tokens = draw.between(1, 64),
                    .page_tokens = model.page_tokens,
                    .share_prefixes = draw.chance(0.8),
                    .preempt = preempt},
      .stream_events = draw.between(1, 64),
      .guess_tokens = !model.runs_ahead && draw.chance(0.5) ? draw.between(1, 6) : 0,
      .context = context};
  auto fake = std::make_unique<FakeModel>(model);
  const FakeModel& run = *fake;
  const bool has_draft = options.guess_tokens > 0 && draw.chance(0.5);
  if (has_draft) {
    // With pages and steps of its own, and too few of them at times.
    fake->set_draft({.vocab_size = kVocab,
                     .context_length = draw.between(context / 2, 2 * context),
                     .page_tokens = draw.between(1, 9),
                     .num_pages = draw.between(1, 400),
                     .max_tokens = draw.between(64, 200),
                     .max_rows = draw.between(1, 16),
                     .draws = draw.chance(0.5),
                     .wrong_share = draw.real(0, 1)});
  }
  Engine engine(std::move(fake), options);

  struct Asked {
    Request request;
    std::optional<ScriptedOptions> under;
    std::shared_ptr<Stream> stream;
    Answer answer;
    bool cancelled;
  };
  std::vector<Asked> asked;
  for (int i = 0; i < 40; ++i) {
    Request request = draw_request(draw, engine.context_length());
    const auto under = draw_constraint(draw);
    auto stream =
        engine.submit(request, under ? std::make_unique<ScriptedConstraint>(*under) : nullptr);
    ASSERT_TRUE(stream) << stream.error().message;
    asked.push_back({std::move(request), under, *std::move(stream), {}, draw.chance(0.1)});
    if (draw.chance(0.2)) std::this_thread::sleep_for(100us);
    if (asked.back().cancelled) asked.back().stream->cancel();
  }
  // Readers take turns, so that no full stream holds up the rest for ever.
  size_t open = asked.size();
  TokenEvent event;
  while (open > 0) {
    open = 0;
    for (Asked& one : asked) {
      const bool ended = one.stream->finished().has_value();
      while (one.stream->take(event)) one.answer.events.push_back(event);
      if (!ended) ++open;
    }
  }
  for (Asked& one : asked) {
    if (one.cancelled) continue;
    one.answer.finish = *one.stream->finished();
    one.answer.embedding.assign(one.stream->embedding().begin(), one.stream->embedding().end());
    std::optional<ScriptedConstraint> constraint;
    if (one.under) constraint.emplace(*one.under);
    expect_same(one.answer, answer_alone(one.request, kVocab, engine.context_length(),
                                         constraint ? &*constraint : nullptr));
    EXPECT_EQ(constraint ? constraint->num_wrong() : 0, 0);
  }
  EXPECT_TRUE(engine.stop_and_check());
  EXPECT_EQ(engine.num_open(), 0);
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.free_pages + stats.cached_pages, stats.num_pages);
  if (model.runs_ahead) {
    EXPECT_GT(run.num_ahead(), 20);
  }
  EXPECT_EQ(stats.free_host_pages + stats.cached_host_pages, stats.num_host_pages);
  EXPECT_EQ(stats.swap.waiting, 0);
  EXPECT_LE(stats.swap.in, stats.swap.out);
}

INSTANTIATE_TEST_SUITE_P(Seeds, EngineMixture, ::testing::Range(0u, 150u));

}  // namespace
}  // namespace hachi::engine
