#include "api/tools.h"

#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "api/anthropic_messages.h"
#include "api/chat_completions.h"
#include "api/responses.h"

namespace hachi::api {
namespace {

using Choice = ToolFields::Choice;

boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

template <auto parse_request>
auto request_of(const std::string& base, const std::string& members) {
  auto request = parse_request(fmt::format("{{{},{}}}", base, members));
  EXPECT_TRUE(request) << members << "\n" << request.error().message;
  return request ? *std::move(request) : typename decltype(request)::value_type();
}

ToolFields chat_tools(const std::string& members) {
  return request_of<parse_chat_request>(
             R"("model":"m","messages":[{"role":"user","content":"Hi"}])", members)
      .tools;
}

ToolFields response_tools(const std::string& members) {
  return request_of<parse_responses_request>(R"("model":"m","input":"Hi")", members).tools;
}

ToolFields anthropic_tools(const std::string& members) {
  return request_of<parse_messages_request>(
             R"("model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}])", members)
      .tools;
}

std::string chat_error(const std::string& members) {
  const auto request = parse_chat_request(
      R"({"model":"m","messages":[{"role":"user","content":"Hi"}],)" + members + "}");
  EXPECT_FALSE(request) << members.substr(0, 100);
  return request ? "" : request.error().message;
}

// One function, as templates read it, whatever the API.
TEST(Tools, HaveOneFormForTemplates) {
  const auto expected = parse(R"([{"type": "function", "function": {"name": "f",
    "description": "d", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}},
    "strict": true}}])");
  const std::string chat = R"("tools": [{"type": "function", "function": {"strict": true,
    "name": "f", "description": "d",
    "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}])";
  const std::string responses = R"("tools": [{"type": "function", "strict": true, "name": "f",
    "description": "d", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}])";
  const std::string anthropic = R"("tools": [{"strict": true, "name": "f", "description": "d",
    "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}}])";
  for (const ToolFields& tools :
       {chat_tools(chat), response_tools(responses), anthropic_tools(anthropic)}) {
    // The order of the keys too: it is that of the prompt.
    EXPECT_EQ(boost::json::serialize(tools.tools), boost::json::serialize(expected));
    EXPECT_EQ(tools.choice, Choice::kAuto);
    EXPECT_TRUE(tools.parallel);
  }
  const auto bare = chat_tools(R"("tools": [{"type": "function", "function": {"name": "f",
    "description": null, "parameters": null}}])");
  EXPECT_EQ(boost::json::value(bare.tools),
            parse(R"([{"type": "function", "function": {"name": "f"}}])"));
  const auto functions = chat_tools(R"("functions": [{"name": "f", "description": "d"}])");
  EXPECT_EQ(boost::json::value(functions.tools),
            parse(R"([{"type": "function", "function": {"name": "f", "description": "d"}}])"));
  EXPECT_FALSE(functions.parallel);
}

TEST(Tools, AreChosen) {
  const std::string chat = R"("tools": [{"type": "function", "function": {"name": "f"}},
    {"type": "function", "function": {"name": "g"}}], "tool_choice": )";
  EXPECT_EQ(chat_tools(chat + "null").choice, Choice::kAuto);
  EXPECT_EQ(chat_tools(chat + R"("auto")").choice, Choice::kAuto);
  EXPECT_EQ(chat_tools(chat + R"("none")").choice, Choice::kNone);
  EXPECT_EQ(chat_tools(chat + R"("required")").choice, Choice::kRequired);
  const auto named = chat_tools(chat + R"({"type": "function", "function": {"name": "g"}})");
  EXPECT_EQ(named.choice, Choice::kNamed);
  EXPECT_EQ(named.name, "g");
  EXPECT_EQ(named.tools.size(), 2u);
  EXPECT_FALSE(chat_tools(chat + R"("auto", "parallel_tool_calls": false)").parallel);

  const std::string responses = R"("tools": [{"type": "function", "name": "f"},
    {"type": "function", "name": "g"}], "tool_choice": )";
  EXPECT_EQ(response_tools(responses + R"("required")").choice, Choice::kRequired);
  EXPECT_EQ(response_tools(responses + R"({"type": "function", "name": "g"})").name, "g");

  const std::string anthropic = R"("tools": [{"name": "f", "input_schema": {}},
    {"name": "g", "input_schema": {}}], "tool_choice": )";
  EXPECT_EQ(anthropic_tools(anthropic + R"({"type": "auto"})").choice, Choice::kAuto);
  EXPECT_EQ(anthropic_tools(anthropic + R"({"type": "any"})").choice, Choice::kRequired);
  EXPECT_EQ(anthropic_tools(anthropic + R"({"type": "none"})").choice, Choice::kNone);
  const auto tool = anthropic_tools(
      anthropic + R"({"type": "tool", "name": "g", "disable_parallel_tool_use": true})");
  EXPECT_EQ(tool.choice, Choice::kNamed);
  EXPECT_EQ(tool.name, "g");
  EXPECT_FALSE(tool.parallel);

  const auto function =
      chat_tools(R"("functions": [{"name": "f"}], "function_call": {"name": "f"})");
  EXPECT_EQ(function.choice, Choice::kNamed);
  EXPECT_EQ(function.name, "f");
}

TEST(Tools, ThatAreNotAllowedAreLeftOut) {
  const auto chat = chat_tools(R"("tools": [{"type": "function", "function": {"name": "f"}},
    {"type": "function", "function": {"name": "g"}},
    {"type": "function", "function": {"name": "h"}}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
      {"type": "function", "function": {"name": "h"}},
      {"type": "function", "function": {"name": "f"}}]}})");
  EXPECT_EQ(chat.choice, Choice::kRequired);
  EXPECT_EQ(boost::json::value(chat.tools), parse(R"([
    {"type": "function", "function": {"name": "f"}},
    {"type": "function", "function": {"name": "h"}}])"));
  const auto responses = response_tools(R"("tools": [{"type": "function", "name": "f"},
    {"type": "function", "name": "g"}], "tool_choice": {"type": "allowed_tools", "mode": "auto",
    "tools": [{"type": "function", "name": "g"}]})");
  EXPECT_EQ(responses.choice, Choice::kAuto);
  EXPECT_EQ(boost::json::value(responses.tools),
            parse(R"([{"type": "function", "function": {"name": "g"}}])"));
}

TEST(Tools, AreNoneWhereThereAreNone) {
  for (const char* members : {R"("tools": [])", R"("tool_choice": "auto")",
                              R"("tools": null, "functions": [], "function_call": "auto")"}) {
    const ToolFields tools = chat_tools(members);
    EXPECT_TRUE(tools.tools.empty());
    EXPECT_EQ(tools.choice, Choice::kNone) << members;
  }
}

// {"type": "function", "function": {"name": "f<number>", "parameters": {"a": "…"}}}
std::string tool_of(size_t number, size_t parameter_bytes) {
  return fmt::format(
      R"({{"type":"function","function":{{"name":"f{}","parameters":{{"a":"{}"}}}}}})", number,
      std::string(parameter_bytes, 'a'));
}

std::string tools_of(size_t count, size_t parameter_bytes) {
  std::string out = R"("tools":[)";
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    out += tool_of(i, parameter_bytes);
  }
  return out + "]";
}

TEST(Tools, HaveLimits) {
  EXPECT_EQ(chat_tools(tools_of(kMaxTools, 1)).tools.size(), kMaxTools);
  EXPECT_EQ(chat_error(tools_of(kMaxTools + 1, 1)),
            "tools must have at most 512 elements, got 513");
  const std::string name(kMaxToolName, 'n');
  const std::string named = R"("tools":[{"type":"function","function":{"name":")" + name;
  EXPECT_EQ(chat_tools(named + R"("}}])").tools.size(), 1u);
  EXPECT_EQ(chat_error(named + R"(n"}}])").substr(0, 38), "tools[0].function.name must be 1 to 64");
  EXPECT_EQ(chat_tools(tools_of(4, kMaxSchemaBytes - 100)).tools.size(), 4u);
  EXPECT_EQ(
      chat_error(tools_of(5, kMaxSchemaBytes - 100)),
      "tools[4].function.name is that of a tool too many: all must have at most 4194304 bytes");
  EXPECT_TRUE(chat_error(tools_of(1, kMaxSchemaBytes))
                  .starts_with("tools[0].function.parameters must have at most 1048576 bytes"));
}

TEST(Tools, OfAnthropicsConversationsBecomeMessages) {
  const auto request = request_of<parse_messages_request>(R"("model":"m","max_tokens":9)", R"(
    "messages": [
      {"role": "user", "content": "Hi"},
      {"role": "assistant", "content": [{"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"z": 1, "a": "\u00f6"}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}}]},
      {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "4"},
                                                                {"type": "text", "text": "5"}]},
        {"type": "tool_result", "tool_use_id": "b", "is_error": true, "content": "no such file"},
        {"type": "tool_result", "tool_use_id": "c", "is_error": false}]}])");
  EXPECT_EQ(boost::json::value(request.messages), parse(R"([
      {"role": "user", "content": "Hi"},
      {"role": "assistant", "content": "Let me see.", "tool_calls": [
        {"id": "a", "type": "function",
         "function": {"name": "f", "arguments": "{\"z\":1,\"a\":\"ö\"}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "a", "content": "4\n5"},
      {"role": "tool", "tool_call_id": "b", "content": "Error: no such file"},
      {"role": "tool", "tool_call_id": "c", "content": ""}])"));
}

TEST(Tools, OfResponsesItemsBecomeMessages) {
  const auto request = request_of<parse_responses_request>(R"("model":"m")", R"("input": [
      {"role": "user", "content": "Hi"},
      {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
      {"type": "message", "role": "assistant", "content": "Let me see."},
      {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{\"x\": 1}"},
      {"type": "function_call", "call_id": "b", "name": "g", "arguments": ""},
      {"type": "function_call_output", "call_id": "a", "output": "4"},
      {"type": "function_call_output", "call_id": "b",
       "output": [{"type": "input_text", "text": "5"}, {"type": "input_text", "text": "6"}]},
      {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "So"}]},
      {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
      {"type": "function_call_output", "call_id": "c", "output": "7"}])");
  EXPECT_EQ(boost::json::value(request.messages), parse(R"([
      {"role": "user", "content": "Hi"},
      {"role": "assistant", "content": "Let me see.", "reasoning_content": "Hm", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
      {"role": "tool", "tool_call_id": "a", "content": "4"},
      {"role": "tool", "tool_call_id": "b", "content": "5\n6"},
      {"role": "assistant", "content": null, "reasoning_content": "So", "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "7"}])"));
}

TEST(Tools, RefuseACallTooMany) {
  std::string items = R"("model":"m","input":[{"role":"user","content":"Hi"})";
  const std::string call = R"(,{"type":"function_call","call_id":"a","name":"f","arguments":"{}"})";
  for (size_t i = 0; i < kMaxToolCalls; ++i) items += call;
  EXPECT_TRUE(parse_responses_request("{" + items + "]}"));
  const auto refused = parse_responses_request("{" + items + call + "]}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "input[129].type");
}

}  // namespace
}  // namespace hachi::api
