#include "engine/session.h"

#include <cmath>

#include <gtest/gtest.h>

#include "engine/generate.h"
#include "model/golden_models.h"

namespace hachi::engine {
namespace {

using testing::GoldenModel;
using testing::open_golden;

Session make_session(const GoldenModel& golden, const SessionOptions& options) {
  auto session = Session::create(*golden.model, options);
  EXPECT_TRUE(session) << session.error().message;
  return *std::move(session);
}

std::vector<int32_t> greedy(Session& session, const GoldenModel& golden, int64_t count) {
  std::vector<int32_t> tokens;
  const GenerateOptions options{.sampling = {.temperature = 0}, .max_tokens = count};
  const auto stats = generate(session, golden.prompt, options, [&](int32_t token) {
    tokens.push_back(token);
    return true;
  });
  EXPECT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->generated_tokens, count);
  EXPECT_EQ(stats->finish, Finish::kLength);
  return tokens;
}

class SessionGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(SessionGolden, GreedyTokensAreThoseOfTransformers) {
  const GoldenModel golden = open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  Session session = make_session(golden, {.threads = 2, .kv_dtype = DType::kF32});
  EXPECT_EQ(greedy(session, golden, 64), golden.greedy);
}

// Every bit of the logits is the same, however the prompt is cut and however many threads there
// are.
TEST_P(SessionGolden, LogitsDoNotDependOnThreadsOrChunks) {
  const GoldenModel golden = open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    if (dtype == DType::kQ8_0 && golden.model->config().head_dim % 32 != 0) continue;
    std::vector<std::vector<float>> expected;
    for (const int threads : {1, 2, 3}) {
      for (const int64_t chunk : {1, 3, 32, 256}) {
        Session session =
            make_session(golden, {.threads = threads, .chunk = chunk, .kv_dtype = dtype});
        std::vector<std::vector<float>> found;
        ASSERT_TRUE(session.prefill(golden.prompt));
        found.emplace_back(session.logits().begin(), session.logits().end());
        for (const int32_t token : {5, 9, 5}) {
          ASSERT_TRUE(session.decode(token));
          found.emplace_back(session.logits().begin(), session.logits().end());
        }
        if (expected.empty()) expected = found;
        ASSERT_EQ(found, expected) << threads << " threads, chunks of " << chunk;
      }
    }
  }
}

TEST_P(SessionGolden, RefusesAnEightBitCacheForHeadsThatBlocksDoNotFit) {
  const GoldenModel golden = open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  const auto session = Session::create(*golden.model, {.kv_dtype = DType::kQ8_0});
  EXPECT_EQ(session.has_value(), golden.model->config().head_dim % 32 == 0);
  if (session.has_value()) return;
  EXPECT_NE(session.error().message.find("q8_0"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, SessionGolden, ::testing::ValuesIn(testing::kGoldenModels));

TEST(Session, KeepsTheSharedBeginning) {
  const GoldenModel golden = open_golden("qwen3-f32");
  ASSERT_TRUE(golden.model);
  Session fresh = make_session(golden, {.threads = 1});
  Session reused = make_session(golden, {.threads = 1});
  std::vector<int32_t> other(golden.prompt.begin(), golden.prompt.begin() + 25);
  other.insert(other.end(), {7, 8, 9});
  ASSERT_EQ(*reused.prefill(other), 0);
  ASSERT_TRUE(reused.decode(11));
  EXPECT_EQ(*reused.prefill(golden.prompt), 25);
  ASSERT_TRUE(fresh.prefill(golden.prompt));
  EXPECT_TRUE(std::equal(fresh.logits().begin(), fresh.logits().end(), reused.logits().begin()));
  // All of it is there: the last token runs again, for its logits.
  EXPECT_EQ(*reused.prefill(golden.prompt), static_cast<int64_t>(golden.prompt.size()) - 1);
  EXPECT_TRUE(std::equal(fresh.logits().begin(), fresh.logits().end(), reused.logits().begin()));
}

TEST(Session, ScoresAreTheLogSoftmaxOfTheLogits) {
  const GoldenModel golden = open_golden("llama3-f32");
  ASSERT_TRUE(golden.model);
  for (const int64_t chunk : {7, 256}) {
    Session session = make_session(golden, {.chunk = chunk, .kv_dtype = DType::kF32});
    const int64_t first = 3;
    const auto scores = session.score(golden.prompt, first);
    ASSERT_TRUE(scores);
    ASSERT_EQ(scores->size(), golden.prompt.size() - static_cast<size_t>(first));
    const auto vocab = static_cast<size_t>(golden.model->config().vocab_size);
    for (size_t i = 0; i < scores->size(); ++i) {
      const size_t position = i + static_cast<size_t>(first);
      const float* row = golden.logits.data() + (position - 1) * vocab;
      const auto token = static_cast<size_t>(golden.prompt[position]);
      double sum = 0;
      for (size_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(row[v]));
      EXPECT_NEAR((*scores)[i].logprob, static_cast<double>(row[token]) - std::log(sum), 1e-4);
      EXPECT_EQ((*scores)[i].greedy, std::max_element(row, row + vocab) == row + token);
    }
  }
}

TEST(Session, ScoresDoNotDependOnWhatTheCacheHeld) {
  const GoldenModel golden = open_golden("qwen3-f32");
  ASSERT_TRUE(golden.model);
  Session fresh = make_session(golden, {.threads = 1});
  Session reused = make_session(golden, {.threads = 1});
  std::vector<int32_t> other = golden.prompt;
  other.back() = 7;
  ASSERT_TRUE(reused.score(other, 30));
  for (const int64_t first : {39, 20, 1}) {
    const auto expected = fresh.score(golden.prompt, first);
    const auto found = reused.score(golden.prompt, first);
    ASSERT_TRUE(expected && found);
    ASSERT_EQ(found->size(), golden.prompt.size() - static_cast<size_t>(first));
    for (size_t i = 0; i < found->size(); ++i) {
      EXPECT_EQ((*found)[i].logprob, (*expected)[i].logprob) << first << " " << i;
    }
  }
}

TEST(Session, RefusesWhatDoesNotFit) {
  const GoldenModel golden = open_golden("llama-bf16");
  ASSERT_TRUE(golden.model);
  EXPECT_EQ(Session::create(*golden.model, {.context = 129}).error().code, Code::kInvalidArgument);
  Session session = make_session(golden, {.context = 39});
  EXPECT_EQ(session.prefill(golden.prompt).error().code, Code::kContextTooLong);
  const std::vector<int32_t> unknown = {1, 160};
  EXPECT_EQ(session.prefill(unknown).error().code, Code::kInvalidArgument);
}

TEST(Session, StopsWhenTheContextIsFull) {
  const GoldenModel golden = open_golden("llama-bf16");
  ASSERT_TRUE(golden.model);
  Session session = make_session(golden, {.context = 45});
  int64_t count = 0;
  const auto stats = generate(session, golden.prompt, {.sampling = {.temperature = 0}},
                              [&](int32_t) { return ++count > 0; });
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->finish, Finish::kLength);
  EXPECT_EQ(count, 45 - 40 + 1);  // the last one is said and needs no place
  EXPECT_EQ(session.decode(3).error().code, Code::kContextTooLong);
}

TEST(Session, StopsAtStopTokensAndOnRequest) {
  const GoldenModel golden = open_golden("llama3-f32");
  ASSERT_TRUE(golden.model);
  Session session = make_session(golden, {.kv_dtype = DType::kF32});
  const std::vector<int32_t> stops = {golden.greedy[5]};
  std::vector<int32_t> said;
  const GenerateOptions options{.sampling = {.temperature = 0}, .stop_ids = stops};
  auto stats = generate(session, golden.prompt, options, [&](int32_t token) {
    said.push_back(token);
    return true;
  });
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->finish, Finish::kStop);
  EXPECT_EQ(said, (std::vector<int32_t>{golden.greedy.begin(), golden.greedy.begin() + 5}));

  stats = generate(
      session, golden.prompt, options, [](int32_t) { return true; }, {}, [] { return true; });
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->finish, Finish::kCancelled);
}

}  // namespace
}  // namespace hachi::engine
