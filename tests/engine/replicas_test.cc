#include "engine/replicas.h"

#include <thread>

#include <gtest/gtest.h>

#include "engine/engine_fixture.h"

namespace hachi::engine {
namespace {

using testing::Answer;
using testing::answer_alone;
using testing::expect_same;
using testing::FakeModel;
using testing::FakeModelOptions;
using testing::read;

constexpr int64_t kVocab = 50;

EngineOptions small_engine() {
  return {
      .scheduler = {.max_sequences = 8, .step_tokens = 32, .prompt_tokens = 8, .page_tokens = 4}};
}

std::vector<std::unique_ptr<StepModel>> models(std::initializer_list<FakeModelOptions> all) {
  std::vector<std::unique_ptr<StepModel>> made;
  for (const FakeModelOptions& one : all) made.push_back(std::make_unique<FakeModel>(one));
  return made;
}

Request request_of(int32_t first, int64_t length) {
  Request request{.sampling = {.seed = 3}, .max_tokens = 12};
  for (int64_t i = 0; i < length; ++i) {
    request.prompt.push_back(static_cast<int32_t>((first + i * 7) % kVocab));
  }
  return request;
}

TEST(Replicas, AnswerAsOneModelWhoeverRunsIt) {
  Replicas replicas(models({{}, {}, {}}), small_engine());
  std::vector<std::shared_ptr<Stream>> streams;
  for (int32_t i = 0; i < 40; ++i) {
    auto stream = replicas.submit(request_of(i, 10 + i % 13));
    ASSERT_TRUE(stream) << stream.error().message;
    streams.push_back(*std::move(stream));
  }
  for (int32_t i = 0; i < 40; ++i) {
    expect_same(read(*streams[static_cast<size_t>(i)]),
                answer_alone(request_of(i, 10 + i % 13), kVocab, replicas.context_length()));
  }
  replicas.close();
  EXPECT_EQ(replicas.num_open(), 0);
  EXPECT_EQ(replicas.stats().generated_tokens, 40 * 12);
  for (size_t i = 0; i < replicas.size(); ++i) {
    EXPECT_GT(replicas.stats_of(i).generated_tokens, 0) << i;
  }
}

TEST(Replicas, AConversationStaysWhereItsPagesAre) {
  Replicas replicas(models({{}, {}}), small_engine());
  for (int turn = 0; turn < 6; ++turn) {
    for (const int32_t who : {0, 20}) {
      auto stream = replicas.submit(request_of(who, 24 + 8 * turn));
      ASSERT_TRUE(stream);
      const Answer answer = read(**stream);
      EXPECT_EQ(answer.usage.cached_tokens > 0, turn > 0) << turn;
    }
  }
  for (size_t i = 0; i < 2; ++i) EXPECT_GT(replicas.stats_of(i).prefix.hit, 0) << i;
}

// One device has less memory: no request may be longer than what both can hold.
TEST(Replicas, TheContextIsTheSmallest) {
  Replicas replicas(models({{}, {.num_pages = 8}}), small_engine());
  EXPECT_EQ(replicas.context_length(), 8 * 4);
  const auto refused = replicas.submit(request_of(0, 40));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kContextTooLong);
}

TEST(Replicas, AreFullWhenAllAre) {
  EngineOptions options = small_engine();
  options.max_waiting = 0;
  options.scheduler.max_sequences = 1;
  FakeModelOptions slow;
  slow.step_time = std::chrono::milliseconds(2);
  Replicas replicas(models({slow, slow}), options);
  std::vector<std::shared_ptr<Stream>> streams;
  for (int32_t i = 0; i < 2; ++i) {
    auto stream = replicas.submit(request_of(i, 8));
    ASSERT_TRUE(stream) << stream.error().message;
    streams.push_back(*std::move(stream));
  }
  const auto refused = replicas.submit(request_of(9, 8));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kLimit);
  for (const auto& stream : streams) read(*stream);
}

TEST(Replicas, TakeRequestsFromManyThreads) {
  Replicas replicas(models({{}, {}}), small_engine());
  std::vector<std::thread> threads;
  for (int32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int32_t i = 0; i < 10; ++i) {
        auto stream = replicas.submit(request_of(t * 10 + i, 20));
        ASSERT_TRUE(stream);
        read(**stream);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(replicas.stats().generated_tokens, 40 * 12);
}

}  // namespace
}  // namespace hachi::engine
