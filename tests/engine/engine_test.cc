#include "engine/engine.h"

#include <algorithm>
#include <atomic>

#include <gtest/gtest.h>

#include "engine/engine_fixture.h"

namespace hachi::engine {
namespace {

using namespace std::chrono_literals;
using testing::Answer;
using testing::answer_alone;
using testing::expect_same;
using testing::FakeModel;
using testing::FakeModelOptions;
using testing::read;

constexpr int64_t kVocab = 50;

SchedulerOptions small_scheduler() {
  return {.max_sequences = 8, .step_tokens = 32, .prompt_tokens = 8, .page_tokens = 4};
}

std::unique_ptr<Engine> make_engine(const FakeModelOptions& model = {},
                                    EngineOptions options = {.scheduler = small_scheduler()}) {
  return std::make_unique<Engine>(std::make_unique<FakeModel>(model), options);
}

Answer ask(Engine& engine, const Request& request) {
  const auto stream = engine.submit(request);
  EXPECT_TRUE(stream) << stream.error().message;
  return read(**stream);
}

TEST(Engine, AnswersAsTheModelAlone) {
  const auto engine = make_engine();
  for (const int64_t length : {1, 3, 4, 5, 31, 32, 33, 100}) {
    Request request{.sampling = {.temperature = 0}, .max_tokens = 20, .top_logprobs = 3};
    for (int64_t i = 0; i < length; ++i) request.prompt.push_back(static_cast<int32_t>(i % kVocab));
    const Answer answer = ask(*engine, request);
    expect_same(answer, answer_alone(request, kVocab, engine->context_length()));
    EXPECT_EQ(answer.usage.prompt_tokens, length);
    EXPECT_EQ(answer.usage.generated_tokens, 20);
  }
  EXPECT_TRUE(engine->stop_and_check());
}

TEST(Engine, EndsAtStopTokensAndTheContext) {
  const auto engine = make_engine();
  Request request{.prompt = {1, 2, 3}, .sampling = {.seed = 5}};
  const Answer whole = ask(*engine, request);
  EXPECT_EQ(whole.finish, Finish::kLength);
  EXPECT_EQ(static_cast<int64_t>(whole.events.size()), engine->context_length() - 3);

  request.stop_ids = {whole.events[7].chosen.token};
  const Answer stopped = ask(*engine, request);
  EXPECT_EQ(stopped.finish, Finish::kStop);
  EXPECT_LE(stopped.events.size(), 7u);
  EXPECT_EQ(stopped.usage.generated_tokens, static_cast<int64_t>(stopped.events.size()));

  request.top_logprobs = 2;
  const Answer scored = ask(*engine, request);
  EXPECT_EQ(scored.usage.generated_tokens, stopped.usage.generated_tokens);
  ASSERT_EQ(scored.events.size(), stopped.events.size() + 1);
  EXPECT_EQ(scored.events.back().chosen.token, request.stop_ids[0]);
  EXPECT_LT(scored.events.back().chosen.logprob, 0);
  expect_same(scored, answer_alone(request, kVocab, engine->context_length()));
  request.top_logprobs = -1;

  request.min_tokens = 30;
  const Answer longer = ask(*engine, request);
  EXPECT_GE(longer.events.size(), 30u);
  expect_same(longer, answer_alone(request, kVocab, engine->context_length()));
}

TEST(Engine, ScoresAndPoolsPrompts) {
  const auto engine = make_engine();
  Request scored{.max_tokens = 0, .top_logprobs = 2, .score_prompt = true};
  for (int32_t i = 0; i < 75; ++i) scored.prompt.push_back(i * i % 50);
  for (int round = 0; round < 2; ++round) {  // the cache does not matter
    const Answer answer = ask(*engine, scored);
    EXPECT_EQ(answer.events.size(), 74u);
    expect_same(answer, answer_alone(scored, kVocab, engine->context_length()));
  }
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    const Request pooled{.prompt = scored.prompt, .max_tokens = 0, .pooling = pooling};
    const Answer answer = ask(*engine, pooled);
    const Answer alone = answer_alone(pooled, kVocab, engine->context_length());
    ASSERT_EQ(answer.embedding.size(), alone.embedding.size());
    EXPECT_EQ(answer.embedding, alone.embedding);
  }
}

TEST(Engine, RefusesWhatItCannotRun) {
  const auto engine = make_engine();
  const auto refusal = [&](const Request& request) {
    const auto stream = engine->submit(request);
    EXPECT_FALSE(stream);
    return stream ? Error{Code::kInternal, ""} : stream.error();
  };
  EXPECT_EQ(refusal({}).message, "the prompt is empty: give it at least one token");
  EXPECT_EQ(refusal({.prompt = {50}}).message, "token 50 is not in the model's vocabulary of 50");
  EXPECT_EQ(refusal({.prompt = {1}, .stop_ids = {-1}}).code, Code::kInvalidArgument);
  EXPECT_EQ(refusal({.prompt = {1}, .sampling = {.top_p = 2}}).code, Code::kInvalidArgument);
  const Error too_long = refusal({.prompt = std::vector<int32_t>(200), .max_tokens = 57});
  EXPECT_EQ(too_long.code, Code::kContextTooLong);
  EXPECT_EQ(too_long.message,
            "the prompt has 200 tokens and the answer may have 57: together they must fit into the "
            "context of 256");
  EXPECT_EQ(refusal({.prompt = {1}, .max_tokens = INT64_MAX}).code, Code::kContextTooLong);
  EXPECT_TRUE(engine->submit({.prompt = std::vector<int32_t>(256), .max_tokens = 0}));
}

TEST(Engine, RefusesMoreThanMayWait) {
  auto options = EngineOptions{.scheduler = small_scheduler(), .max_waiting = 4};
  options.scheduler.max_sequences = 2;
  const auto engine = make_engine({.step_time = 1ms}, options);
  std::vector<std::shared_ptr<Stream>> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(*engine->submit({.prompt = {1}, .max_tokens = 40}));
  const auto refused = engine->submit({.prompt = {1}, .max_tokens = 40});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kLimit);
  for (const auto& stream : streams) EXPECT_EQ(read(*stream).events.size(), 40u);
  EXPECT_EQ(engine->num_open(), 0);
  EXPECT_TRUE(engine->submit({.prompt = {1}, .max_tokens = 1}));
}

TEST(Engine, EndsWhatIsCancelledOrLate) {
  const auto engine = make_engine({.step_time = 200us});
  const auto cancelled = *engine->submit({.prompt = {1, 2}});
  const auto late = *engine->submit({.prompt = {1, 3}, .deadline = Clock::now() + 5ms});
  TokenEvent event;
  while (!cancelled->take(event)) std::this_thread::yield();
  cancelled->cancel();
  EXPECT_EQ(read(*cancelled).finish, Finish::kCancelled);
  EXPECT_EQ(read(*late).finish, Finish::kDeadline);
  EXPECT_TRUE(engine->stop_and_check());
  EXPECT_EQ(engine->num_open(), 0);
}

TEST(Engine, ClosesWithRequestsOpen) {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    const auto engine = make_engine({.step_time = 1ms});
    for (int i = 0; i < 20; ++i) streams.push_back(*engine->submit({.prompt = {1, 2, i}}));
  }
  for (const auto& stream : streams) EXPECT_EQ(read(*stream).finish, Finish::kCancelled);
}

TEST(Engine, PausesForASlowReader) {
  const EngineOptions options{.scheduler = small_scheduler(), .stream_events = 8};
  const auto engine = make_engine({}, options);
  const Request request{.prompt = {1, 2, 3}, .max_tokens = 60};
  const auto slow = *engine->submit(request);
  // Others go on while it waits.
  const Request quick{.prompt = {4}, .max_tokens = 100};
  expect_same(ask(*engine, quick), answer_alone(quick, kVocab, engine->context_length()));
  EXPECT_FALSE(slow->finished());
  EXPECT_EQ(slow->room(), 0);
  expect_same(read(*slow), answer_alone(request, kVocab, engine->context_length()));
}

TEST(Engine, TellsOfNews) {
  std::atomic<int> news{0};
  Engine engine(std::make_unique<FakeModel>(FakeModelOptions{}), {.scheduler = small_scheduler()},
                [&] { ++news; });
  ask(engine, {.prompt = {1}, .max_tokens = 10});
  EXPECT_TRUE(engine.stop_and_check());
  EXPECT_GE(news, 10);
}

TEST(Engine, CountsWhatItDoes) {
  const auto engine = make_engine();
  Request request{
      .prompt = std::vector<int32_t>(30, 7), .sampling = {.temperature = 0}, .max_tokens = 5};
  EXPECT_EQ(ask(*engine, request).usage.cached_tokens, 0);
  EXPECT_EQ(ask(*engine, request).usage.cached_tokens, 28);
  request.salt = 1;
  EXPECT_EQ(ask(*engine, request).usage.cached_tokens, 0);
  EXPECT_TRUE(engine->stop_and_check());
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.generated_tokens, 15);
  EXPECT_EQ(stats.prompt_tokens, 62);
  EXPECT_EQ(stats.prefix.hit, 28);
  EXPECT_EQ(stats.prefix.miss_new, 28);
  EXPECT_EQ(stats.prefix.miss_other_salt, 28);
  EXPECT_EQ(stats.prefix.miss_page_end, 6);
  EXPECT_EQ(stats.running + stats.waiting, 0);
}

// Requests with a common beginning that come together run it once.
TEST(Engine, WaitsForAPrefixThatRunsJustNow) {
  int64_t rows = 0;
  EngineOptions options{.scheduler = small_scheduler()};
  options.scheduler.max_sequences = 8;
  const auto engine = make_engine(
      {.on_step =
           [&](const ops::BatchView& batch) { rows += static_cast<int64_t>(batch.ids.size()); }},
      options);
  // Busy until all are there.
  const auto first = *engine->submit({.prompt = std::vector<int32_t>(40, 1), .max_tokens = 1});
  std::vector<std::shared_ptr<Stream>> streams;
  for (int32_t i = 0; i < 6; ++i) {
    Request request{.prompt = std::vector<int32_t>(100, 3), .max_tokens = 1};
    request.prompt.push_back(i);
    streams.push_back(*engine->submit(std::move(request)));
  }
  read(*first);
  for (const auto& stream : streams) EXPECT_EQ(read(*stream).events.size(), 1u);
  EXPECT_TRUE(engine->stop_and_check());
  EXPECT_EQ(rows, 40 + 100 + 6);
}

// The places of `streams` in the order in which they end.
std::vector<size_t> order_of_ends(const std::vector<std::shared_ptr<Stream>>& streams) {
  std::vector<size_t> order;
  while (order.size() < streams.size()) {
    for (size_t i = 0; i < streams.size(); ++i) {
      const bool is_known = std::find(order.begin(), order.end(), i) != order.end();
      if (!is_known && streams[i]->finished()) order.push_back(i);
    }
    std::this_thread::yield();
  }
  return order;
}

// An engine that runs one request at a time, slowly enough to see which.
std::unique_ptr<Engine> make_narrow_engine() {
  EngineOptions options{.scheduler = small_scheduler()};
  options.scheduler.max_sequences = 1;
  return make_engine({.step_time = 1ms}, options);
}

// A draft that thinks alike is right each time; one that does not costs nothing but time.
TEST(Engine, ADraftSavesSteps) {
  for (const double wrong_share : {0.0, 0.3, 1.0}) {
    auto model = std::make_unique<FakeModel>(FakeModelOptions{});
    model->set_draft({.page_tokens = 7, .wrong_share = wrong_share});
    Engine engine(std::move(model),
                  {.scheduler = {.step_tokens = 64, .page_tokens = 4}, .guess_tokens = 4});
    const Request request{
        .prompt = {1, 2, 3}, .sampling = {.temperature = 0.8, .seed = 3}, .max_tokens = 100};
    const auto stream = engine.submit(request);
    ASSERT_TRUE(stream);
    expect_same(read(**stream), answer_alone(request, 50, 1000));
    EXPECT_TRUE(engine.stop_and_check());
    const EngineStats stats = engine.stats();
    if (wrong_share == 0) {
      EXPECT_EQ(stats.accepted_tokens, stats.guessed_tokens);
      EXPECT_EQ(stats.steps, 1 + (99 + 4) / 5);  // five tokens each, after the prompt's
    } else {
      EXPECT_LT(stats.accepted_tokens, stats.guessed_tokens);
    }
  }
}

TEST(Engine, HigherPriorityGoesFirst) {
  const auto engine = make_narrow_engine();
  std::vector<std::shared_ptr<Stream>> streams;
  for (const int priority : {0, 0, 5, -1, 5}) {
    streams.push_back(*engine->submit({.prompt = {1, 2}, .max_tokens = 10, .priority = priority}));
    TokenEvent event;
    while (streams.size() == 1 && !streams[0]->take(event)) std::this_thread::yield();
  }
  EXPECT_EQ(order_of_ends(streams), (std::vector<size_t>{0, 2, 4, 1, 3}));
}

// Who asks for little does not wait behind all that another has asked for.
TEST(Engine, UsersShareFairly) {
  const auto engine = make_narrow_engine();
  std::vector<std::shared_ptr<Stream>> streams;
  for (const uint64_t user : {1, 1, 1, 1, 2, 2}) {
    streams.push_back(*engine->submit({.prompt = {1, 2}, .max_tokens = 10, .user = user}));
    TokenEvent event;
    while (streams.size() == 1 && !streams[0]->take(event)) std::this_thread::yield();
  }
  // User 2 starts level with user 1, who was given the prompt by then: 2 goes next, and then they
  // take turns.
  EXPECT_EQ(order_of_ends(streams), (std::vector<size_t>{0, 4, 1, 5, 2, 3}));
}

// Users who ask again as soon as they are answered do not overtake for ever who was given more.
TEST(Engine, NobodyIsOvertakenForEver) {
  const auto engine = make_narrow_engine();
  const auto ask = [&](uint64_t user) {
    return *engine->submit({.prompt = {1, 2}, .max_tokens = 10, .user = user});
  };
  const auto first = ask(1);
  const auto second = ask(1);
  TokenEvent event;
  while (!first->take(event)) std::this_thread::yield();
  std::vector<std::shared_ptr<Stream>> others;
  for (const uint64_t user : {2, 3, 4}) others.push_back(ask(user));
  int overtaken = 0;
  while (!second->finished() && overtaken < 50) {
    for (size_t i = 0; i < others.size(); ++i) {
      if (!others[i]->finished()) continue;
      ++overtaken;
      others[i] = ask(2 + i);
    }
    std::this_thread::yield();
  }
  EXPECT_LT(overtaken, 50);
}

// A long prompt does not hold up those who decode: each step has one of their tokens.
TEST(Engine, RunsPromptsInChunksBesideDecodes) {
  std::vector<int64_t> prompts_beside;
  std::atomic<bool> is_asked{false};  // until then the talker waits after its first token
  int num_steps = 0;
  const auto engine =
      make_engine({.num_pages = 512, .on_step = [&](const ops::BatchView& batch) {
                     while (++num_steps > 1 && !is_asked) std::this_thread::yield();
                     if (batch.sequences.size() < 2) return;
                     prompts_beside.push_back(static_cast<int64_t>(batch.ids.size()) - 1);
                   }});
  const auto talker = *engine->submit({.prompt = {1}, .max_tokens = 200});
  TokenEvent event;
  while (!talker->take(event)) std::this_thread::yield();
  std::vector<int32_t> prompt(500);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i % kVocab);
  const auto asker = *engine->submit({.prompt = prompt, .max_tokens = 1});
  is_asked = true;
  read(*asker);
  EXPECT_EQ(read(*talker).events.size(), 199u);
  EXPECT_TRUE(engine->stop_and_check());
  ASSERT_FALSE(prompts_beside.empty());
  for (const int64_t tokens : prompts_beside) EXPECT_LE(tokens, 8);
}

}  // namespace
}  // namespace hachi::engine
