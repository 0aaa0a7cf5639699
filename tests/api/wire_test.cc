// Answers with thoughts that were cut, a text and calls of tools, whole and as streams, in each
// API: byte for byte as in tests/cases/wire, which tests/clients reads with the official clients.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "api/chat_completions.h"
#include "api/message_stream.h"
#include "api/response_stream.h"
#include "api/sse.h"
#include "core/files.h"
#include "core/utf8.h"

namespace hachi::api {
namespace {

constexpr std::string_view kThoughts = "Köln first, then the time";
constexpr std::string_view kText = "Let me see.";
constexpr std::string_view kWeather =
    R"({"city": "Köln \"am Rhein\"", "days": [1, 2], "unit": null})";
constexpr ToolCall kCalls[] = {{"call_1", "get_weather", kWeather}, {"call_2", "now", "{}"}};
constexpr Usage kUsage = {20, 12, 4, 6};

boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

ResponseHead head_of(std::string_view id) { return {std::string(id), 1700000000, "m"}; }

// `text` in pieces of `length` characters.
std::vector<std::string_view> pieces_of(std::string_view text, size_t length) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    size_t bytes = 0;
    for (size_t i = 0; i < length && bytes < text.size(); ++i) {
      bytes += decode_utf8(text.substr(bytes)).length;
    }
    out.push_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return out;
}

std::string chat_answer(ReasoningName name) {
  ChatChoice choice;
  choice.content = kText;
  choice.reasoning = kThoughts;
  choice.reasoning_name = name;
  choice.reasoning_truncated = true;
  choice.tool_calls = kCalls;
  choice.finish_reason = FinishReason::kToolCalls;
  std::string out;
  append_chat_response(out, head_of("chatcmpl-1"), {&choice, 1}, kUsage);
  return out;
}

std::string chat_stream(ReasoningName name, size_t length) {
  const ChunkHead head = chat_chunk_head(head_of("chatcmpl-1"), true);
  std::string out;
  append_chat_chunk(out, head, {.role = true});
  for (const auto piece : pieces_of(kThoughts, length)) {
    append_chat_chunk(out, head, {.reasoning = piece, .reasoning_name = name});
  }
  for (const auto piece : pieces_of(kText, length))
    append_chat_chunk(out, head, {.content = piece});
  for (int64_t i = 0; i < 2; ++i) {
    const ToolCall& call = kCalls[i];
    append_chat_chunk(out, head, {.tool_call = ToolCallDelta{i, call.id, call.name, ""}});
    for (const auto piece : pieces_of(call.arguments, length)) {
      append_chat_chunk(out, head, {.tool_call = ToolCallDelta{i, "", "", piece}});
    }
  }
  append_chat_chunk(out, head,
                    {.reasoning_truncated = true, .finish_reason = FinishReason::kToolCalls});
  append_usage_chunk(out, head, kUsage);
  append_done(out);
  return out;
}

MessageEnd message_end() { return {FinishReason::kToolCalls, "", true}; }

std::string message_answer() {
  std::string out;
  append_message(out, head_of("msg_1"), {kThoughts, kText, kCalls}, message_end(), kUsage);
  return out;
}

std::string message_stream(size_t length) {
  MessageStream stream;
  std::string out;
  stream.start(out, head_of("msg_1"), {20, 0, 4, 0});
  for (const auto piece : pieces_of(kThoughts, length)) stream.thinking_delta(out, piece);
  for (const auto piece : pieces_of(kText, length)) stream.text_delta(out, piece);
  for (const ToolCall& call : kCalls) {
    stream.tool_use(out, call.id, call.name);
    for (const auto piece : pieces_of(call.arguments, length)) stream.input_delta(out, piece);
  }
  stream.finish(out, message_end(), kUsage);
  return out;
}

ResponsesRequest responses_request() {
  auto request = parse_responses_request(R"({"model": "m", "input": "Hi",
    "reasoning": {"effort": "low"}, "parallel_tool_calls": true, "tool_choice": "required",
    "tools": [{"type": "function", "name": "get_weather", "parameters": {"type": "object"},
               "strict": true},
              {"type": "function", "name": "now", "parameters": null, "strict": null}],
    "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}}})");
  EXPECT_TRUE(request) << request.error().message;
  return request ? *std::move(request) : ResponsesRequest();
}

ResponseOutput response_output() {
  return {.reasoning = kThoughts, .text = kText, .reasoning_truncated = true, .tool_calls = kCalls};
}

std::string response_answer() {
  std::string out;
  append_response(out, head_of("resp_1"), responses_request(), response_output(),
                  FinishReason::kToolCalls, kUsage);
  return out;
}

std::string response_stream(size_t length) {
  ResponseStream stream(head_of("resp_1"), responses_request());
  std::string out;
  stream.start(out);
  for (const auto piece : pieces_of(kThoughts, length)) stream.reasoning_delta(out, piece);
  stream.truncate_reasoning();
  for (const auto piece : pieces_of(kText, length)) stream.text_delta(out, piece);
  for (const ToolCall& call : kCalls) {
    stream.function_call(out, call.id, call.name);
    for (const auto piece : pieces_of(call.arguments, length)) stream.arguments_delta(out, piece);
  }
  stream.finish(out, FinishReason::kToolCalls, kUsage);
  return out;
}

TEST(Wire, IsAsTheClientsOfTheTestsReadIt) {
  const std::pair<const char*, std::string> files[] = {
      {"chat.json", chat_answer(ReasoningName::kReasoningContent)},
      {"chat.sse", chat_stream(ReasoningName::kReasoningContent, 7)},
      {"chat_reasoning.json", chat_answer(ReasoningName::kReasoning)},
      {"chat_reasoning.sse", chat_stream(ReasoningName::kReasoning, 7)},
      {"messages.json", message_answer()},
      {"messages.sse", message_stream(7)},
      {"responses.json", response_answer()},
      {"responses.sse", response_stream(7)},
  };
  const auto folder = std::filesystem::path(HACHI_TEST_DIR) / "cases" / "wire";
  for (const auto& [name, written] : files) {
    const auto wanted = read_file(folder / name, 1 << 20);
    ASSERT_TRUE(wanted) << wanted.error().message;
    EXPECT_EQ(written, *wanted) << name;
  }
}

// What a client makes of the chunks of one choice.
boost::json::object assembled_chat(std::string_view stream) {
  std::string content, reasoning, finish_reason;
  std::vector<boost::json::object> calls;
  bool truncated = false;
  auto add = [](std::string& to, const boost::json::object& from, std::string_view key) {
    if (const auto* text = from.if_contains(key)) to += std::string_view(text->as_string());
  };
  for (const Event& event : events_of(stream)) {
    if (event.data == "[DONE]") break;
    const auto choices = event.json().at("choices").as_array();
    if (choices.empty()) continue;
    const auto& delta = choices[0].at("delta").as_object();
    add(content, delta, "content");
    add(reasoning, delta, "reasoning_content");
    truncated = truncated || delta.contains("reasoning_truncated");
    if (!choices[0].at("finish_reason").is_null()) {
      finish_reason = choices[0].at("finish_reason").as_string();
    }
    const auto* pieces = delta.if_contains("tool_calls");
    if (!pieces) continue;
    auto piece = pieces->at(0).as_object();
    const auto index = static_cast<size_t>(piece.at("index").as_int64());
    piece.erase("index");
    if (index == calls.size()) {
      calls.push_back(piece);
    } else {
      EXPECT_EQ(piece.size(), 1u);
      auto& arguments = calls[index].at("function").at("arguments").as_string();
      arguments += piece.at("function").at("arguments").as_string();
    }
  }
  boost::json::array list(calls.begin(), calls.end());
  return {{"content", content},
          {"reasoning_content", reasoning},
          {"reasoning_truncated", truncated},
          {"tool_calls", list},
          {"finish_reason", finish_reason}};
}

// However the text is cut, the deltas add up to the whole answer.
TEST(Wire, IsTheSameHoweverItIsCut) {
  const auto choice = parse(chat_answer(ReasoningName::kReasoningContent)).at_pointer("/choices/0");
  auto wanted = choice.at("message").as_object();
  wanted.erase("role");
  wanted.emplace("finish_reason", choice.at("finish_reason"));
  for (size_t length = 1; length <= kWeather.size(); ++length) {
    EXPECT_EQ(assembled_chat(chat_stream(ReasoningName::kReasoningContent, length)), wanted);
    EXPECT_EQ(events_of(response_stream(length)).back().json().at("response"),
              parse(response_answer()));
    std::string input;
    for (const Event& event : events_of(message_stream(length))) {
      if (event.name != "content_block_delta" || event.json().at("index") != 2) continue;
      input += std::string_view(event.json().at_pointer("/delta/partial_json").as_string());
    }
    EXPECT_EQ(input, kWeather);
  }
}

// What was answered can be sent back, with what its calls gave.
TEST(Wire, IsTakenBack) {
  const auto wanted = parse(R"([{"role": "assistant", "content": "Let me see.",
      "reasoning_content": "Köln first, then the time", "tool_calls": [
      {"id": "call_1", "type": "function", "function": {"name": "get_weather",
       "arguments": "{\"city\": \"Köln \\\"am Rhein\\\"\", \"days\": [1, 2], \"unit\": null}"}},
      {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "call_1", "content": "rain"}])");
  for (const ReasoningName name : {ReasoningName::kReasoningContent, ReasoningName::kReasoning}) {
    const auto message = parse(chat_answer(name)).at_pointer("/choices/0/message");
    const auto chat =
        parse_chat_request(R"({"model": "m", "messages": [)" + boost::json::serialize(message) +
                           R"(, {"role": "tool", "tool_call_id": "call_1", "content": "rain"}]})");
    ASSERT_TRUE(chat) << chat.error().message;
    EXPECT_EQ(boost::json::value(chat->messages), wanted);
  }
  auto items = parse(response_answer()).at("output").as_array();
  items.push_back(
      parse(R"({"type": "function_call_output", "call_id": "call_1", "output": "rain"})"));
  const auto response =
      parse_responses_request(R"({"model": "m", "input": )" + boost::json::serialize(items) + "}");
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(boost::json::value(response->messages), wanted);
  const auto content = parse(message_answer()).at("content");
  const auto message = parse_messages_request(
      R"({"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": )" +
      boost::json::serialize(content) + R"(}, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}]}]})");
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->messages.size(), 2u);
  EXPECT_EQ(message->messages[0].at("tool_calls").as_array().size(), 2u);
  EXPECT_EQ(message->messages[1], wanted.at(1));
}

TEST(ChatResponse, HasNoContentBesideCallsAlone) {
  ChatChoice choice;
  choice.tool_calls = kCalls;
  choice.finish_reason = FinishReason::kToolCalls;
  std::string out;
  append_chat_response(out, head_of("chatcmpl-1"), {&choice, 1}, {});
  const auto message = parse(out).at_pointer("/choices/0/message").as_object();
  EXPECT_TRUE(message.at("content").is_null());
  EXPECT_FALSE(message.contains("reasoning_content"));
  EXPECT_FALSE(message.contains("reasoning_truncated"));
}

// Anthropic's `input` is an object, whatever the model wrote.
TEST(AnthropicMessage, KeepsArgumentsThatAreNoObject) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", "{}"},
      {"{ }", "{}"},
      {R"({"a": 1.50})", R"({"a":1.5})"},
      {R"({"a": )", R"({"INVALID_JSON":"{\"a\": "})"},
      {"[1]", R"({"INVALID_JSON":"[1]"})"},
      {"{\"a\":\"\xff\"}", "{\"INVALID_JSON\":\"{\\\"a\\\":\\\"\xef\xbf\xbd\\\"}\"}"},
      {R"({"a":1}, "type": "text")", R"({"INVALID_JSON":"{\"a\":1}, \"type\": \"text\""})"},
  };
  for (const auto& [arguments, input] : cases) {
    const ToolCall call = {"t", "f", arguments};
    std::string out;
    append_message(out, head_of("msg_1"), {"", "", {&call, 1}}, {FinishReason::kLength, ""}, {});
    const auto block = parse(out).at_pointer("/content/0");
    EXPECT_EQ(block.at("type"), "tool_use");
    EXPECT_EQ(block.at("input"), parse(input)) << arguments;
  }
}

TEST(AnthropicMessage, HasNoTextBesideCallsAlone) {
  std::string out;
  append_message(out, head_of("msg_1"), {"", "", kCalls}, {FinishReason::kToolCalls, ""}, {});
  const auto message = parse(out);
  EXPECT_EQ(message.at("stop_reason"), "tool_use");
  ASSERT_EQ(message.at("content").as_array().size(), 2u);
  EXPECT_EQ(message.at_pointer("/content/0/type"), "tool_use");
  EXPECT_FALSE(message.as_object().contains("reasoning_truncated"));
}

// Only the last item was cut; the others are whole.
TEST(Response, IsCutInItsLastItem) {
  const ResponsesRequest request = responses_request();
  ResponseOutput output = response_output();
  output.reasoning_truncated = false;
  std::string whole;
  append_response(whole, head_of("resp_1"), request, output, FinishReason::kLength, kUsage);
  const auto response = parse(whole);
  EXPECT_EQ(response.at("status"), "incomplete");
  const char* const statuses[] = {"completed", "completed", "completed", "incomplete"};
  ASSERT_EQ(response.at("output").as_array().size(), std::size(statuses));
  for (size_t i = 0; i < std::size(statuses); ++i) {
    EXPECT_EQ(response.at("output").at(i).at("status"), statuses[i]) << i;
  }
  ResponseStream stream(head_of("resp_1"), request);
  std::string out;
  stream.start(out);
  stream.reasoning_delta(out, kThoughts);
  stream.text_delta(out, kText);
  for (const ToolCall& call : kCalls) {
    stream.function_call(out, call.id, call.name);
    stream.arguments_delta(out, call.arguments);
  }
  stream.finish(out, FinishReason::kLength, kUsage);
  EXPECT_EQ(events_of(out).back().json().at("response"), response);
}

TEST(Response, HasNoMessageBesideCallsAlone) {
  std::string out;
  append_response(out, head_of("resp_1"), responses_request(), {.tool_calls = kCalls},
                  FinishReason::kToolCalls, kUsage);
  const auto response = parse(out);
  EXPECT_EQ(response.at("status"), "completed");
  ASSERT_EQ(response.at("output").as_array().size(), 2u);
  EXPECT_EQ(response.at_pointer("/output/1"),
            parse(R"({"id": "fc_1_1", "type": "function_call", "status": "completed",
                      "call_id": "call_2", "name": "now", "arguments": "{}"})"));
  EXPECT_EQ(response.at_pointer("/text/format/type"), "json_schema");
  EXPECT_EQ(response.at("tool_choice"), "required");
  EXPECT_EQ(response.at("tools").as_array().size(), 2u);
}

}  // namespace
}  // namespace hachi::api
