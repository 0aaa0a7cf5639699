#include "api/chat_completions.h"

#include <cmath>
#include <limits>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "api/sse.h"

namespace hachi::api {
namespace {

const ResponseHead kHead = {"chatcmpl-1", 1700000000, "m\"x"};

boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

TEST(ChatRequest, HasDefaults) {
  const auto request =
      parse_chat_request(R"({"model":"m","messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->model, "m");
  EXPECT_EQ(request->sampling.temperature, std::nullopt);
  EXPECT_EQ(request->sampling.top_k, std::nullopt);
  EXPECT_EQ(request->sampling.seed, std::nullopt);
  EXPECT_EQ(request->sampling.n, 1);
  EXPECT_TRUE(request->sampling.skip_special_tokens);
  EXPECT_EQ(request->max_tokens, std::nullopt);
  EXPECT_FALSE(request->stream.stream);
  EXPECT_TRUE(request->prompt.add_generation_prompt);
  EXPECT_EQ(request->prompt.enable_thinking, std::nullopt);
  EXPECT_TRUE(request->reasoning.include);
  EXPECT_EQ(request->reasoning_name, ReasoningName::kReasoningContent);
  EXPECT_EQ(request->format.kind, OutputFormat::Kind::kText);
  EXPECT_EQ(request->tools.choice, ToolFields::Choice::kNone);
}

TEST(ChatRequest, ReadsEachField) {
  const auto request = parse_chat_request(R"({
    "model": "m", "messages": [{"role": "user", "content": "Hi"}],
    "temperature": 0.5, "top_p": 0.9, "top_k": -1, "min_p": 0.1, "repetition_penalty": 1.1,
    "presence_penalty": 0.25, "frequency_penalty": -0.5, "logit_bias": {"7": -100, "3": 2.5},
    "seed": -1, "n": 3, "stop": "END", "stop_token_ids": [5, 6], "ignore_eos": true,
    "min_tokens": 2, "skip_special_tokens": false, "max_completion_tokens": 9,
    "logprobs": true, "top_logprobs": 4, "stream": true, "stream_options": {"include_usage": true},
    "priority": -7, "cache_salt": "s", "include_reasoning": false, "reasoning_effort": "low",
    "chat_template_kwargs": {"enable_thinking": true, "style": "brief"}})");
  ASSERT_TRUE(request) << request.error().message;
  const SamplingFields& sampling = request->sampling;
  EXPECT_EQ(sampling.temperature, 0.5);
  EXPECT_EQ(sampling.top_p, 0.9);
  EXPECT_EQ(sampling.top_k, 0);
  EXPECT_EQ(sampling.min_p, 0.1);
  EXPECT_EQ(sampling.repetition_penalty, 1.1);
  EXPECT_EQ(sampling.presence_penalty, 0.25);
  EXPECT_EQ(sampling.frequency_penalty, -0.5);
  EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<int32_t, float>>{{3, 2.5f}, {7, -100.0f}}));
  EXPECT_EQ(sampling.seed, -1);
  EXPECT_EQ(sampling.n, 3);
  EXPECT_EQ(sampling.stop, std::vector<std::string>{"END"});
  EXPECT_EQ(sampling.stop_token_ids, (std::vector<int32_t>{5, 6}));
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_EQ(sampling.min_tokens, 2);
  EXPECT_FALSE(sampling.skip_special_tokens);
  EXPECT_EQ(request->max_tokens, 9);
  EXPECT_TRUE(request->logprobs);
  EXPECT_EQ(request->top_logprobs, 4);
  EXPECT_TRUE(request->stream.stream);
  EXPECT_TRUE(request->stream.include_usage);
  EXPECT_EQ(request->schedule.priority, -7);
  EXPECT_EQ(request->schedule.cache_salt, "s");
  EXPECT_FALSE(request->reasoning.include);
  EXPECT_EQ(request->reasoning.effort, "low");
  EXPECT_EQ(request->prompt.enable_thinking, true);
  EXPECT_EQ(boost::json::value(request->prompt.variables), parse(R"({"style":"brief"})"));
}

TEST(ChatResponse, HasOpenAisShape) {
  const TopLogprob top[] = {{"Hi", -0.5f}, {"\xe2\x80", -std::numeric_limits<float>::infinity()}};
  const TokenLogprob tokens[] = {{"Hi", -0.5f, top}};
  ChatChoice choice;
  choice.content = "Hi";
  choice.reasoning = "Hm";
  choice.logprobs = tokens;
  choice.finish_reason = FinishReason::kLength;
  std::string out;
  append_chat_response(out, kHead, {&choice, 1}, {10, 5, 4, 2});
  EXPECT_EQ(parse(out), parse(R"({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "m\"x",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi",
      "reasoning_content": "Hm"}, "finish_reason": "length", "logprobs": {"content": [
        {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [
          {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]},
          {"token": "\\xe2\\x80", "logprob": -9999, "bytes": [226, 128]}]}]}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
      "prompt_tokens_details": {"cached_tokens": 4},
      "completion_tokens_details": {"reasoning_tokens": 2}}})"));
}

TEST(ChatResponse, WritesLogprobsThatAreNoNumbersAsTheLowest) {
  const TokenLogprob tokens[] = {{"a", std::nanf("")}, {"b", 0.0f}, {"c", 1e-6f}, {"d", -1e9f}};
  ChatChoice choice;
  choice.logprobs = tokens;
  std::string out;
  append_chat_response(out, kHead, {&choice, 1}, {});
  const auto content = parse(out).at_pointer("/choices/0/logprobs/content").as_array();
  EXPECT_EQ(content[0].at("logprob"), -9999);
  EXPECT_EQ(content[1].at("logprob"), 0);
  EXPECT_EQ(content[2].at("logprob"), 0);
  EXPECT_EQ(content[3].at("logprob"), -9999);
}

TEST(ChatStream, IsAsOpenAisClientsReadIt) {
  const ChunkHead head = chat_chunk_head(kHead, true);
  std::string out;
  ChatDelta first;
  first.role = true;
  append_chat_chunk(out, head, first);
  ChatDelta thought;
  thought.reasoning = "Hm\n";
  append_chat_chunk(out, head, thought);
  ChatDelta text;
  text.index = 2;
  text.content = "Hi";
  append_chat_chunk(out, head, text);
  ChatDelta last;
  last.finish_reason = FinishReason::kStop;
  append_chat_chunk(out, head, last);
  append_usage_chunk(out, head, {1, 2, 0, 0});
  append_done(out);

  const auto events = events_of(out);
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0].json(), parse(R"({"id": "chatcmpl-1", "object": "chat.completion.chunk",
    "created": 1700000000, "model": "m\"x", "usage": null, "choices": [{"index": 0,
    "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null}]})"));
  EXPECT_EQ(events[1].json().at_pointer("/choices/0/delta"),
            parse(R"({"reasoning_content": "Hm\n"})"));
  EXPECT_EQ(events[2].json().at_pointer("/choices/0"),
            parse(R"({"index": 2, "delta": {"content": "Hi"}, "logprobs": null,
                      "finish_reason": null})"));
  EXPECT_EQ(events[3].json().at_pointer("/choices/0"),
            parse(R"({"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"})"));
  EXPECT_EQ(events[4].json().at("choices"), boost::json::array());
  EXPECT_EQ(events[4].json().at_pointer("/usage/total_tokens"), 3);
  EXPECT_EQ(events[5].data, "[DONE]");
  EXPECT_EQ(events[0].name, "");
}

// Every mixture of what a delta can have is one object.
TEST(ChatStream, IsJsonForEveryDelta) {
  const TokenLogprob tokens[] = {{"a", -1.0f}};
  const ChunkHead head = chat_chunk_head(kHead, false);
  for (int bits = 0; bits < 256; ++bits) {
    ChatDelta delta;
    delta.role = bits & 1;
    if (bits & 2) delta.content = "c";
    if (bits & 4) delta.reasoning = "r";
    if (bits & 8) delta.logprobs = tokens;
    if (bits & 16) delta.finish_reason = FinishReason::kLength;
    if (bits & 32) delta.tool_call = {1, "", "", "{"};
    if (bits & 64) delta.reasoning_name = ReasoningName::kReasoning;
    delta.reasoning_truncated = bits & 128;
    std::string out;
    append_chat_chunk(out, head, delta);
    const auto events = events_of(out);
    ASSERT_EQ(events.size(), 1u);
    boost::system::error_code error;
    const auto json = boost::json::parse(events[0].data, error);
    ASSERT_FALSE(error) << out;
    const auto& choice = json.at_pointer("/choices/0").as_object();
    EXPECT_EQ(choice.at("delta").as_object().contains("role"), delta.role);
    EXPECT_EQ(choice.at("delta").as_object().contains("content"), delta.role || (bits & 2));
    const bool is_newer = bits & 64;
    const auto& said = choice.at("delta").as_object();
    EXPECT_EQ(said.contains("reasoning_content"), (bits & 4) && !is_newer);
    EXPECT_EQ(said.contains("reasoning"), (bits & 4) && is_newer);
    EXPECT_EQ(said.contains("tool_calls"), (bits & 32) != 0);
    EXPECT_EQ(said.contains("reasoning_truncated"), delta.reasoning_truncated);
    EXPECT_EQ(choice.at("logprobs").is_object(), (bits & 8) != 0);
    EXPECT_EQ(choice.at("finish_reason").is_string(), (bits & 16) != 0);
    EXPECT_FALSE(json.as_object().contains("usage"));
  }
}

}  // namespace
}  // namespace hachi::api
