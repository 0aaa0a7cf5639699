// The parts of `hachi bench serve` that need no server: prompts, arrivals, accounting, figures.
#include <cmath>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "cli/load_answer.h"
#include "cli/load_arrivals.h"
#include "cli/load_prompts.h"
#include "cli/load_stats.h"
#include "cli/scratch.h"

namespace hachi::cli {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

PromptSource synthetic(SyntheticPrompts options) {
  auto source = PromptSource::synthetic(options);
  EXPECT_TRUE(source) << source.error().message;
  return *std::move(source);
}

TEST(LoadPrompts, WordsDiffer) {
  const std::set<std::string_view> words(load_words().begin(), load_words().end());
  EXPECT_EQ(words.size(), load_words().size());
  EXPECT_FALSE(words.contains(""));
}

TEST(LoadPrompts, ShareThePrefixAndNothingMore) {
  const PromptSource source = synthetic({.tokens = 40, .shared_prefix = 30, .seed = 5});
  const std::vector<std::string> first = split(source.prompt(0).text);
  ASSERT_EQ(first.size(), 40);
  std::set<std::string> own;
  std::set<std::pair<std::string, std::string>> pairs;
  for (int64_t i = 0; i < 2000; ++i) {
    const std::vector<std::string> words = split(source.prompt(i).text);
    ASSERT_EQ(words.size(), 40);
    for (size_t at = 0; at < 30; ++at) ASSERT_EQ(words[at], first[at]);
    if (i < 512) own.insert(words[30]);
    pairs.emplace(words[30], words[31]);
  }
  EXPECT_EQ(own.size(), 512);
  EXPECT_EQ(pairs.size(), 2000);
}

TEST(LoadPrompts, DependOnSeedAndNumberAlone) {
  const PromptSource one = synthetic({.tokens = 20, .seed = 1});
  const PromptSource same = synthetic({.tokens = 20, .seed = 1});
  const PromptSource other = synthetic({.tokens = 20, .seed = 2});
  EXPECT_EQ(one.prompt(7).text, same.prompt(7).text);
  EXPECT_EQ(one.prompt(7).text, one.prompt(7).text);
  EXPECT_NE(one.prompt(7).text, other.prompt(7).text);
  EXPECT_NE(one.prompt(7).text, one.prompt(8).text);
}

TEST(LoadPrompts, LengthsSpread) {
  const PromptSource source = synthetic({.tokens = 10, .spread = 3});
  std::set<size_t> lengths;
  for (int64_t i = 0; i < 200; ++i) lengths.insert(split(source.prompt(i).text).size());
  EXPECT_EQ(lengths, (std::set<size_t>{7, 8, 9, 10, 11, 12, 13}));
}

TEST(LoadPrompts, RefusesAPrefixThatLeavesNothing) {
  EXPECT_FALSE(PromptSource::synthetic({.tokens = 10, .spread = 2, .shared_prefix = 8}));
  EXPECT_TRUE(PromptSource::synthetic({.tokens = 10, .spread = 2, .shared_prefix = 7}));
}

TEST(LoadPrompts, ReadsTokensAndSpread) {
  SyntheticPrompts options;
  ASSERT_TRUE(parse_prompt_tokens("512", options));
  EXPECT_EQ(options.tokens, 512);
  EXPECT_EQ(options.spread, 0);
  for (const char* text : {"512+-64", "512±64"}) {
    ASSERT_TRUE(parse_prompt_tokens(text, options)) << text;
    EXPECT_EQ(options.tokens, 512);
    EXPECT_EQ(options.spread, 64);
  }
  for (const char* text : {"", "-1", "12x", "1+-", "+-3", "99999999999"}) {
    EXPECT_FALSE(parse_prompt_tokens(text, options)) << text;
  }
}

TEST(LoadPrompts, ReadsFiles) {
  const Scratch scratch;
  const auto lines = PromptSource::from_file(scratch.write("a", "one {\r\n\n two\n").string());
  ASSERT_TRUE(lines) << lines.error().message;
  EXPECT_EQ(lines->size(), 2);
  EXPECT_EQ(lines->prompt(0).text, "one {");
  EXPECT_EQ(lines->prompt(3).text, " two");

  const auto json = PromptSource::from_file(scratch
                                                .write("b", R"({"prompt": "a\nb"}
{"messages": [{"role": "user", "content": "c"}]})")
                                                .string());
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->prompt(0).text, "a\nb");
  EXPECT_EQ(json->prompt(1).messages, R"([{"role":"user","content":"c"}])");

  const auto wrong =
      PromptSource::from_file(scratch.write("c", "{\"prompt\": \"a\"}\nb\n").string());
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("line 2"), std::string::npos) << wrong.error().message;
  EXPECT_FALSE(PromptSource::from_file(scratch.write("d", "\n \n").string()));
  EXPECT_FALSE(PromptSource::from_file(scratch.write("e", "{\"text\": 1}").string()));
}

// The mean of a gamma distribution with shape k is 1 / rate, its variation 1 / sqrt(k).
TEST(LoadArrivals, HaveTheRateAndTheBurstiness) {
  for (const double shape : {0.25, 1.0, 9.0}) {
    Arrivals arrivals(4, shape, 11);
    constexpr int kCount = 200000;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kCount; ++i) {
      const double time = arrivals.next();
      ASSERT_GE(time, 0);
      sum += time;
      squares += time * time;
    }
    const double mean = sum / kCount;
    const double variation = std::sqrt(squares / kCount - mean * mean) / mean;
    EXPECT_NEAR(mean, 0.25, 0.005) << shape;
    EXPECT_NEAR(variation, 1 / std::sqrt(shape), 0.02 / std::sqrt(shape)) << shape;
  }
}

// The share of times above t is exp(-rate t), which no other gamma distribution has.
TEST(LoadArrivals, ArePoissonByDefault) {
  Arrivals arrivals(2, 1, 3);
  int above = 0;
  for (int i = 0; i < 100000; ++i) above += arrivals.next() > 0.5 ? 1 : 0;
  EXPECT_NEAR(above / 1e5, std::exp(-1), 0.006);
}

TEST(LoadArrivals, RepeatWithTheSeed) {
  Arrivals one(1, 0.5, 9);
  Arrivals same(1, 0.5, 9);
  Arrivals other(1, 0.5, 10);
  for (int i = 0; i < 10; ++i) {
    const double time = one.next();
    EXPECT_EQ(time, same.next());
    EXPECT_NE(time, other.next());
  }
}

TEST(LoadStats, PercentilesInterpolate) {
  const std::vector<double> values = {10, 20, 30, 40};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 10);
  EXPECT_DOUBLE_EQ(percentile(values, 0.5), 25);
  EXPECT_DOUBLE_EQ(percentile(values, 0.9), 37);
  EXPECT_DOUBLE_EQ(percentile(values, 1), 40);
  EXPECT_DOUBLE_EQ(percentile(std::vector<double>{7}, 0.99), 7);
  EXPECT_DOUBLE_EQ(percentile({}, 0.5), 0);
}

TEST(LoadStats, SpreadOfValues) {
  const Spread spread = Spread::of({4, 2, 4, 4, 5, 5, 7, 9});
  EXPECT_EQ(spread.count, 8);
  EXPECT_DOUBLE_EQ(spread.mean, 5);
  EXPECT_DOUBLE_EQ(spread.deviation, 2);
  EXPECT_DOUBLE_EQ(spread.p50, 4.5);
  EXPECT_DOUBLE_EQ(spread.max, 9);
}

LoadAnswer completed(double sent, double first, double last, int64_t tokens) {
  LoadAnswer answer;
  answer.end = LoadAnswer::End::kCompleted;
  answer.status = 200;
  answer.sent = sent;
  answer.first = first;
  answer.last = last;
  answer.ended = last;
  answer.chunks = tokens;
  answer.prompt_tokens = 100;
  answer.output_tokens = tokens;
  return answer;
}

TEST(LoadStats, SumsUpALoad) {
  LoadRecord record;
  record.seconds = 4;
  record.answers.push_back(completed(0, 0.5, 1.5, 11));  // 100 ms a token
  record.answers.back().gaps = {0.5F, 0.5F};
  record.answers.push_back(completed(1, 3, 3, 1));
  LoadAnswer failure;
  failure.status = 429;
  failure.failure = "slow down";
  record.answers.push_back(failure);
  record.answers.push_back(failure);
  LoadAnswer interrupted;
  interrupted.end = LoadAnswer::End::kInterrupted;
  record.answers.push_back(interrupted);

  const auto targets = parse_targets({"ttft=600", "tpot=100.5"});
  ASSERT_TRUE(targets) << targets.error().message;
  const LoadSummary summary = LoadSummary::of(record, *targets);
  EXPECT_EQ(summary.completed, 2);
  EXPECT_EQ(summary.failed, 2);
  EXPECT_EQ(summary.failures.at({429, "slow down"}), 2);
  EXPECT_EQ(summary.total_input_tokens, 200);
  EXPECT_EQ(summary.total_output_tokens, 12);
  EXPECT_TRUE(summary.has_input_tokens);
  EXPECT_FALSE(summary.counted_by_chunks);
  EXPECT_DOUBLE_EQ(summary.request_throughput, 0.5);
  EXPECT_DOUBLE_EQ(summary.request_goodput, 0.25);
  EXPECT_DOUBLE_EQ(summary.output_throughput, 3);
  EXPECT_DOUBLE_EQ(summary.total_token_throughput, 53);
  EXPECT_DOUBLE_EQ(summary.ttft_ms.mean, 1250);
  EXPECT_EQ(summary.tpot_ms.count, 1);  // one token has no time per further token
  EXPECT_DOUBLE_EQ(summary.tpot_ms.mean, 100);
  EXPECT_DOUBLE_EQ(summary.itl_ms.mean, 500);
  EXPECT_DOUBLE_EQ(summary.e2el_ms.max, 2000);
}

TEST(LoadStats, KeepsFewReasons) {
  LoadRecord record;
  for (int i = 0; i < 100; ++i) {
    LoadAnswer failure;
    failure.failure = std::to_string(i);
    record.answers.push_back(failure);
  }
  const LoadSummary summary = LoadSummary::of(record, {});
  EXPECT_EQ(summary.failed, 100);
  EXPECT_LE(summary.failures.size(), 17);
  EXPECT_EQ(summary.failures.at({0, "other reasons"}), 84);
}

TEST(LoadStats, RefusesTargetsThatAreNone) {
  for (const char* text : {"ttft", "ttft=", "ttft=0", "ttft=-1", "ttft=nan", "p99=3", "ttft=3x"}) {
    EXPECT_FALSE(parse_targets({text})) << text;
  }
}

TEST(AnswerMeter, CountsTextAndTakesTheUsage) {
  LoadAnswer answer;
  AnswerMeter meter(LoadEndpoint::kChat, answer);
  answer.sent = 1;
  ASSERT_TRUE(meter.take(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})", 2));
  EXPECT_EQ(answer.chunks, 0);
  ASSERT_TRUE(meter.take(R"({"choices":[{"delta":{"reasoning_content":"a"}}]})", 3));
  ASSERT_TRUE(meter.take(R"({"choices":[{"delta":{"content":"b"},"finish_reason":null}]})", 3.5));
  ASSERT_TRUE(meter.take(R"({"choices":[{"delta":{},"finish_reason":"length"}]})", 4));
  ASSERT_TRUE(meter.take(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,
                            "prompt_tokens_details":{"cached_tokens":8}}})",
                         5));
  ASSERT_TRUE(meter.take("[DONE]", 5));
  ASSERT_TRUE(meter.finish(6));
  EXPECT_EQ(answer.chunks, 2);
  EXPECT_EQ(answer.gaps, std::vector<float>{0.5F});
  EXPECT_EQ(answer.tokens(), 5);
  EXPECT_EQ(answer.prompt_tokens, 9);
  EXPECT_EQ(answer.cached_tokens, 8);
  EXPECT_DOUBLE_EQ(answer.time_to_first_token(), 2);
  EXPECT_DOUBLE_EQ(answer.time_per_token(), 0.125);
  EXPECT_DOUBLE_EQ(answer.end_to_end(), 5);
}

TEST(AnswerMeter, CountsPiecesWithoutUsage) {
  LoadAnswer answer;
  AnswerMeter meter(LoadEndpoint::kCompletions, answer);
  ASSERT_TRUE(meter.take(R"({"choices":[{"text":"a"}],"usage":null})", 1));
  ASSERT_TRUE(meter.take(R"({"choices":[{"text":"b","finish_reason":"stop"}]})", 2));
  ASSERT_TRUE(meter.finish(2));
  EXPECT_EQ(answer.output_tokens, -1);
  EXPECT_EQ(answer.tokens(), 2);
  EXPECT_DOUBLE_EQ(answer.time_per_token(), 1);
}

TEST(AnswerMeter, SaysWhatIsWrong) {
  const auto failure = [](std::string_view data) {
    LoadAnswer answer;
    const auto taken = AnswerMeter(LoadEndpoint::kChat, answer).take(data, 1);
    return taken ? std::string("none") : taken.error().message;
  };
  EXPECT_EQ(failure("{\"choices\":"), "the stream has an event that is not JSON: {\"choices\":");
  EXPECT_EQ(failure(R"({"error":{"message":"no memory"}})"), "an error in the stream: no memory");
  EXPECT_EQ(failure("[1]"), "the stream has an event that this endpoint does not send: [1]");
  EXPECT_EQ(failure(R"({"choices":[1,{"delta":3},{"delta":{"content":4}}]})"), "none");
  EXPECT_EQ(failure(R"({"usage":{"prompt_tokens":"x"}})"), "none");

  LoadAnswer cut;
  AnswerMeter meter(LoadEndpoint::kChat, cut);
  ASSERT_TRUE(meter.take(R"({"choices":[{"delta":{"content":"b"}}]})", 1));
  EXPECT_FALSE(meter.finish(2));
}

TEST(AnswerMeter, ReadsTheReasonOfARefusal) {
  EXPECT_EQ(failure_of_body(R"({"error":{"message":"too\nlong"}})"), "too long");
  EXPECT_EQ(failure_of_body(R"({"error":"no"})"), "no");
  EXPECT_EQ(failure_of_body(R"({"detail":"nope"})"), "nope");
  EXPECT_EQ(failure_of_body("not \x1b[2J"), "not [2J");
  EXPECT_EQ(failure_of_body("<html>"), "");
  EXPECT_LE(failure_of_body(std::string(5000, 'x')).size(), 210);
}

}  // namespace
}  // namespace hachi::cli
