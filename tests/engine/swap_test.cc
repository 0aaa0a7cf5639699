// Sequences that wait with their pages in the processor's memory, and prefixes that come from
// there.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/replicas.h"

namespace hachi::engine {
namespace {

using testing::Answer;
using testing::answer_alone;
using testing::expect_same;
using testing::FakeModel;
using testing::FakeModelOptions;
using testing::read;

constexpr int64_t kVocab = 50;

struct Tight {
  int64_t rows = 0;    // tokens that the model ran
  int64_t needed = 0;  // that it has to
  EngineStats stats;
};

Request request_of(int32_t first, int64_t length, int64_t answer) {
  Request request{.sampling = {.seed = 3}, .max_tokens = answer, .top_logprobs = 1};
  for (int64_t i = 0; i < length; ++i) {
    request.prompt.push_back(static_cast<int32_t>((first + i * (first + 2)) % kVocab));
  }
  return request;
}

// Eight requests that need four times the pages that there are. All are right.
Tight run_tight(Preempt preempt, int64_t host_pages, bool share_prefixes, bool scores = false,
                bool runs_ahead = false, int64_t stream_events = 256) {
  Tight run;
  std::atomic<bool> all_asked{false};
  FakeModelOptions model{.num_pages = 24, .host_pages = host_pages, .runs_ahead = runs_ahead};
  model.on_step = [&](const ops::BatchView& batch) {
    while (!all_asked) std::this_thread::yield();
    run.rows += static_cast<int64_t>(batch.ids.size());
  };
  const EngineOptions options{.scheduler = {.max_sequences = 8,
                                            .step_tokens = 32,
                                            .prompt_tokens = 8,
                                            .page_tokens = 4,
                                            .share_prefixes = share_prefixes,
                                            .preempt = preempt},
                              .stream_events = stream_events,
                              .context = 96};
  Engine engine(std::make_unique<FakeModel>(model), options);
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Stream>> streams;
  for (int32_t i = 0; i < 8; ++i) {
    requests.push_back(request_of(i, 6 + i, 40));
    requests.back().score_prompt = scores;
    streams.push_back(*engine.submit(requests.back()));
    run.needed += 6 + i + 40 - 1;
  }
  all_asked = true;
  for (size_t i = 0; i < requests.size(); ++i) {
    expect_same(read(*streams[i]), answer_alone(requests[i], kVocab, 96));
  }
  EXPECT_TRUE(engine.stop_and_check());
  run.stats = engine.stats();
  EXPECT_EQ(run.stats.free_host_pages + run.stats.cached_host_pages, host_pages);
  EXPECT_GT(run.stats.preemptions, 0);
  return run;
}

TEST(Swap, ComputesNothingTwice) {
  for (const bool share_prefixes : {false, true}) {
    for (const auto& [scores, runs_ahead] :
         {std::pair(false, false), {true, false}, {false, true}}) {
      const Tight run = run_tight(Preempt::kSwap, 200, share_prefixes, scores, runs_ahead);
      EXPECT_EQ(run.rows, run.needed);
      EXPECT_EQ(run.stats.swap.sequences, run.stats.preemptions);
      EXPECT_GT(run.stats.swap.out, 0);
      EXPECT_EQ(run.stats.swap.in, run.stats.swap.out);
      EXPECT_EQ(run.stats.moved_in > 0, share_prefixes);
    }
  }
}

TEST(Swap, ComputesAgainWhatHasNoPlace) {
  for (const bool share_prefixes : {false, true}) {
    const Tight none = run_tight(Preempt::kSwap, 0, share_prefixes);
    EXPECT_EQ(none.stats.swap.sequences, 0);
    const Tight few = run_tight(Preempt::kSwap, 20, share_prefixes);
    EXPECT_GT(few.stats.swap.sequences, 0);
    EXPECT_LT(few.stats.swap.sequences, few.stats.preemptions);
    EXPECT_GT(none.rows, few.rows);
    EXPECT_GT(few.rows, few.needed);
  }
}

TEST(Swap, IsLeftWhenAskedTo) {
  const Tight run = run_tight(Preempt::kRecompute, 200, false);
  EXPECT_EQ(run.stats.swap.sequences, 0);
  EXPECT_GT(run.rows, run.needed);
}

// Who is read gets the pages of those whose readers have not come yet, when nobody else can go on.
TEST(Swap, AnswersWhoeverIsRead) {
  for (const Preempt preempt : {Preempt::kSwap, Preempt::kRecompute}) {
    for (const bool runs_ahead : {false, true}) {
      for (const int64_t events : {1, 8, 20}) {
        run_tight(preempt, 200, true, false, runs_ahead, events);
        run_tight(preempt, 0, false, false, runs_ahead, events);
      }
    }
  }
}

// Requests end, and the engine stops, while some wait for their pages.
TEST(Swap, EndsWithSequencesSwappedOut) {
  int64_t swapped = 0;
  for (int round = 0; round < 60; ++round) {
    const FakeModelOptions model{.num_pages = 24, .host_pages = 10 + round};
    Engine engine(std::make_unique<FakeModel>(model),
                  {.scheduler = {.max_sequences = 8,
                                 .step_tokens = 32,
                                 .prompt_tokens = 8,
                                 .page_tokens = 4,
                                 .share_prefixes = round % 2 > 0,
                                 .preempt = Preempt::kSwap},
                   .stream_events = 200});
    std::vector<std::shared_ptr<Stream>> streams;
    for (int32_t i = 0; i < 8; ++i) streams.push_back(*engine.submit(request_of(i, 6 + i, 80)));
    // Later each time, and in any case before all have ended.
    while (engine.stats().steps < 5 * round && engine.num_open() > 3) std::this_thread::yield();
    swapped += engine.stats().swap.waiting;
    streams[static_cast<size_t>(round % 8)]->cancel();
    streams[static_cast<size_t>(round % 5)]->cancel();
    if (round % 4 > 0) read(*streams[static_cast<size_t>(round % 5)]);
    EXPECT_TRUE(engine.stop_and_check()) << round;
  }
  EXPECT_GT(swapped, 0);
}

// A prompt whose pages were pushed out comes back from the host, and its answer is the same.
TEST(HostCache, BringsBackWhatWasPushedOut) {
  int64_t rows = 0;
  FakeModelOptions model{.num_pages = 24, .host_pages = 60};
  model.on_step = [&](const ops::BatchView& batch) {
    rows += static_cast<int64_t>(batch.ids.size());
  };
  Engine engine(
      std::make_unique<FakeModel>(model),
      {.scheduler = {.max_sequences = 8, .step_tokens = 32, .prompt_tokens = 8, .page_tokens = 4}});
  const auto ask = [&](const Request& request) {
    Answer answer = read(**engine.submit(request));
    expect_same(answer, answer_alone(request, kVocab, engine.context_length()));
    return answer.usage.cached_tokens;
  };
  EXPECT_EQ(ask(request_of(0, 50, 5)), 0);
  for (const int32_t other : {1, 2, 3}) EXPECT_EQ(ask(request_of(other, 60, 5)), 0);
  EXPECT_GE(engine.stats().moved_out, 13);
  EXPECT_EQ(engine.stats().prefix.hit_host, 0);
  rows = 0;
  EXPECT_EQ(ask(request_of(0, 50, 5)), 48);
  EXPECT_TRUE(engine.stop_and_check());
  EXPECT_EQ(rows, 2 + 4);
  EXPECT_EQ(engine.stats().prefix.hit_host, 48);
  EXPECT_EQ(engine.stats().moved_in, 12);
  EXPECT_EQ(engine.stats().evictions, 0);
}

// No step waits for pages that move out.
TEST(HostCache, MakesRoomBesideSteps) {
  for (const bool runs_ahead : {false, true}) {
    auto owned = std::make_unique<FakeModel>(
        FakeModelOptions{.num_pages = 64, .host_pages = 200, .runs_ahead = runs_ahead});
    const FakeModel& model = *owned;
    Engine engine(
        std::move(owned),
        {.scheduler = {
             .max_sequences = 8, .step_tokens = 32, .prompt_tokens = 8, .page_tokens = 4}});
    for (const int round : {0, 1}) {
      for (int32_t i = 0; i < 40; ++i) {
        const Request request = request_of(i, 9, 4);
        const Answer answer = read(**engine.submit(request));
        expect_same(answer, answer_alone(request, kVocab, engine.context_length()));
        EXPECT_EQ(answer.usage.cached_tokens, 8 * round);
      }
    }
    EXPECT_TRUE(engine.stop_and_check());
    EXPECT_EQ(engine.stats().moved_out, model.num_saved_beside());
    EXPECT_GT(model.num_saved_beside(), 40);
    EXPECT_EQ(model.num_saved(), 0);
  }
}

// Where a copy takes longer than its page's tokens, as soon as that is known.
TEST(HostCache, IsLeftWhereComputingIsCheaper) {
  const FakeModelOptions model{.num_pages = 24, .host_pages = 60, .page_copy_seconds = 10};
  Engine engine(
      std::make_unique<FakeModel>(model),
      {.scheduler = {.max_sequences = 8, .step_tokens = 32, .prompt_tokens = 8, .page_tokens = 4}});
  for (int32_t i = 0; i < 6; ++i) read(**engine.submit(request_of(i, 60, 5)));
  EXPECT_TRUE(engine.stop_and_check());
  EXPECT_EQ(engine.stats().moved_out, 0);
  EXPECT_GT(engine.stats().evictions, 0);
}

TEST(SwapCost, ComparesTwoCopiesWithComputing) {
  SwapCost cost(0.01);
  EXPECT_TRUE(cost.copying_is_cheaper(1, 32));  // nothing is known
  cost.observe(1000, 1);
  EXPECT_TRUE(cost.copying_is_cheaper(1, 21));
  EXPECT_FALSE(cost.copying_is_cheaper(1, 19));
  EXPECT_TRUE(cost.copying_is_cheaper(10, 201));
  for (int i = 0; i < 100; ++i) cost.observe(1000, 0.5);  // faster than it seemed
  EXPECT_FALSE(cost.copying_is_cheaper(1, 39));
  EXPECT_TRUE(cost.copying_is_cheaper(1, 41));
}

TEST(HostCache, IsCountedForAllReplicas) {
  std::vector<std::unique_ptr<StepModel>> models;
  for (const int64_t pages : {5, 7}) {
    models.push_back(std::make_unique<FakeModel>(FakeModelOptions{.host_pages = pages}));
  }
  const Replicas replicas(
      std::move(models),
      {.scheduler = {.max_sequences = 8, .step_tokens = 32, .prompt_tokens = 8, .page_tokens = 4}});
  EXPECT_EQ(replicas.stats().num_host_pages, 12);
  EXPECT_EQ(replicas.stats().free_host_pages, 12);
}

}  // namespace
}  // namespace hachi::engine
