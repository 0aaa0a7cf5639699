#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "api/chat_completions.h"
#include "api/message_stream.h"
#include "api/sse.h"

namespace hachi::api {
namespace {

const ResponseHead kHead = {"msg_1", 5, "m"};

boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

// What read_messages makes of an OpenAI conversation.
boost::json::value chat_messages(const std::string& messages) {
  const auto request = parse_chat_request(R"({"model":"m","messages":)" + messages + "}");
  if (!request) return boost::json::value(request.error().message);
  return request->messages;
}

TEST(Messages, BecomeWhatTemplatesRead) {
  EXPECT_EQ(chat_messages(R"([
      {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "user", "content": "u", "name": "Ada"},
      {"role": "assistant", "content": "a", "reasoning_content": "r", "refusal": null},
      {"role": "assistant", "content": null, "reasoning": "r2"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "c", "type": "function", "index": 0, "function": {"name": "f",
         "arguments": "{\"x\": 1}", "parsed_arguments": {"x": 1}}}], "parsed": {"x": 1}},
      {"role": "tool", "tool_call_id": "c", "content": "4"}])"),
            parse(R"([
      {"role": "system", "content": "a\nb"},
      {"role": "user", "name": "Ada", "content": "u"},
      {"role": "assistant", "reasoning_content": "r", "content": "a"},
      {"role": "assistant", "reasoning_content": "r2", "content": ""},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "4"}])"));
}

// The writer's own message is accepted when it is sent back.
TEST(Messages, TakeBackWhatWasAnswered) {
  ChatChoice choice;
  choice.content = "Hi \"you\"";
  choice.reasoning = "Hm";
  std::string out;
  append_chat_response(out, kHead, {&choice, 1}, {});
  const auto message = parse(out).at_pointer("/choices/0/message");
  EXPECT_EQ(
      chat_messages("[" + boost::json::serialize(message) + "]"),
      parse(R"([{"role": "assistant", "reasoning_content": "Hm", "content": "Hi \"you\""}])"));
}

MessagesRequest messages_request(const std::string& members) {
  auto request = parse_messages_request(R"({"model":"m","max_tokens":100,)" + members + "}");
  EXPECT_TRUE(request) << request.error().message;
  return request ? *std::move(request) : MessagesRequest();
}

TEST(AnthropicMessages, BecomeWhatTemplatesRead) {
  const auto request = messages_request(R"("system": [
      {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
      {"type": "text", "text": "b"}],
    "messages": [
      {"role": "user", "content": [{"type": "text", "text": "u"}, {"type": "text", "text": "v"}]},
      {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}}]},
      {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "4"}]},
        {"type": "text", "text": "So?"}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "d"}]},
      {"role": "assistant", "content": [{"type": "text", "text": "It is"}]}])");
  EXPECT_EQ(boost::json::value(request.messages), parse(R"([
      {"role": "system", "content": "a\nb"},
      {"role": "user", "content": "u\nv"},
      {"role": "assistant", "reasoning_content": "t", "content": null, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "4"},
      {"role": "user", "content": "So?"},
      {"role": "tool", "tool_call_id": "d", "content": ""},
      {"role": "assistant", "content": "It is"}])"));
  EXPECT_TRUE(request.continue_final_message);
}

TEST(AnthropicMessages, ReadThinking) {
  const std::string base = R"("messages": [{"role": "user", "content": "u"}])";
  const auto absent = messages_request(base);
  EXPECT_EQ(absent.reasoning.enable, false);
  EXPECT_FALSE(absent.reasoning.include);
  EXPECT_FALSE(absent.continue_final_message);
  const auto enabled =
      messages_request(base + R"(, "thinking": {"type": "enabled", "budget_tokens": 50})");
  EXPECT_EQ(enabled.reasoning.enable, true);
  EXPECT_TRUE(enabled.reasoning.include);
  EXPECT_EQ(enabled.reasoning.budget, 50);
  const auto adaptive = messages_request(base + R"(, "thinking": {"type": "adaptive"})");
  EXPECT_EQ(adaptive.reasoning.enable, std::nullopt);
  EXPECT_TRUE(adaptive.reasoning.include);
  const auto disabled = messages_request(base + R"(, "thinking": {"type": "disabled"})");
  EXPECT_EQ(disabled.reasoning.enable, false);
  EXPECT_FALSE(disabled.reasoning.include);
  const auto hidden =
      messages_request(base + R"(, "thinking": {"type": "adaptive", "display": "omitted"})");
  EXPECT_FALSE(hidden.reasoning.include);
}

TEST(AnthropicMessages, ReadSampling) {
  const auto request = messages_request(R"("messages": [{"role": "user", "content": "u"}],
    "temperature": 0.25, "top_p": 0.5, "top_k": 7, "stop_sequences": ["a", "b"], "stream": true)");
  EXPECT_EQ(request.sampling.temperature, 0.25);
  EXPECT_EQ(request.sampling.top_p, 0.5);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(request.stream);
  EXPECT_EQ(request.max_tokens, 100);
}

TEST(AnthropicMessage, HasItsShape) {
  std::string out;
  append_message(out, kHead, {"Hm", "Hi", {}}, {FinishReason::kStop, "END"}, {10, 5, 4, 2});
  EXPECT_EQ(parse(out), parse(R"({"id": "msg_1", "type": "message", "role": "assistant",
    "model": "m", "content": [{"type": "thinking", "thinking": "Hm", "signature": ""},
      {"type": "text", "text": "Hi", "citations": null}],
    "stop_reason": "stop_sequence", "stop_sequence": "END",
    "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
      "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2}}})"));
  out.clear();
  append_message(out, kHead, {"", "", {}}, {FinishReason::kStop, ""}, {});
  EXPECT_EQ(parse(out).at_pointer("/content/0/text"), "");
  EXPECT_EQ(parse(out).at("stop_reason"), "end_turn");
  out.clear();
  append_message(out, kHead, {"Hm", "", {}}, {FinishReason::kLength, ""}, {});
  EXPECT_EQ(parse(out).at("content").as_array().size(), 1u);
  EXPECT_EQ(parse(out).at("stop_reason"), "max_tokens");
  EXPECT_TRUE(parse(out).at("stop_sequence").is_null());
}

TEST(AnthropicStream, GoesFromStartToStop) {
  MessageStream stream;
  std::string out;
  stream.start(out, kHead, {10, 0, 4, 0});
  stream.thinking_delta(out, "H");
  stream.thinking_delta(out, "m");
  stream.text_delta(out, "H\ni");
  stream.finish(out, {FinishReason::kLength, ""}, {10, 5, 4, 2});
  const auto events = events_of(out);
  const std::pair<std::string, std::string> expected[] = {
      {"message_start", R"({"type": "message_start", "message": {"id": "msg_1", "type": "message",
         "role": "assistant", "model": "m", "content": [], "stop_reason": null,
         "stop_sequence": null, "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0,
         "cache_read_input_tokens": 4, "output_tokens": 0,
         "output_tokens_details": {"thinking_tokens": 0}}}})"},
      {"content_block_start", R"({"type": "content_block_start", "index": 0,
         "content_block": {"type": "thinking", "thinking": "", "signature": ""}})"},
      {"content_block_delta", R"({"type": "content_block_delta", "index": 0,
         "delta": {"type": "thinking_delta", "thinking": "H"}})"},
      {"content_block_delta", R"({"type": "content_block_delta", "index": 0,
         "delta": {"type": "thinking_delta", "thinking": "m"}})"},
      {"content_block_stop", R"({"type": "content_block_stop", "index": 0})"},
      {"content_block_start", R"({"type": "content_block_start", "index": 1,
         "content_block": {"type": "text", "text": "", "citations": null}})"},
      {"content_block_delta", R"({"type": "content_block_delta", "index": 1,
         "delta": {"type": "text_delta", "text": "H\ni"}})"},
      {"content_block_stop", R"({"type": "content_block_stop", "index": 1})"},
      {"message_delta", R"({"type": "message_delta",
         "delta": {"stop_reason": "max_tokens", "stop_sequence": null},
         "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0,
         "cache_read_input_tokens": 4, "output_tokens": 5,
         "output_tokens_details": {"thinking_tokens": 2}}})"},
      {"message_stop", R"({"type": "message_stop"})"},
  };
  ASSERT_EQ(events.size(), std::size(expected));
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].name, expected[i].first);
    EXPECT_EQ(events[i].json(), parse(expected[i].second)) << events[i].data;
  }
}

TEST(AnthropicStream, HasATextBlockWhereNothingWasSaid) {
  MessageStream stream;
  std::string out;
  stream.start(out, kHead, {});
  stream.finish(out, {FinishReason::kStop, "END"}, {});
  const auto events = events_of(out);
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[1].json().at_pointer("/content_block/type"), "text");
  EXPECT_EQ(events[3].json().at_pointer("/delta/stop_reason"), "stop_sequence");
  EXPECT_EQ(events[3].json().at_pointer("/delta/stop_sequence"), "END");
}

TEST(CountTokens, IsOneNumber) {
  std::string out;
  append_count_tokens_response(out, 7);
  EXPECT_EQ(out, R"({"input_tokens":7})");
}

}  // namespace
}  // namespace hachi::api
