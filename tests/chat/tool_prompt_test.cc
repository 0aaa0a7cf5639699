// Tools in the prompts of templates that know all, some or nothing of them.
#include "chat/tool_prompt.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "chat/families.h"
#include "chat/tool_call_parser.h"
#include "core/files.h"

namespace hachi::chat {
namespace {

const std::filesystem::path kData = std::filesystem::path(HACHI_TEST_DIR) / "chat" / "data";

// Of Mistral's kind: tools, calls and results, roles in turn, ids of nine letters, no system role.
constexpr std::string_view kMistralLike =
    "{%- if tools -%}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{%- endif -%}"
    "{%- for m in messages -%}"
    "{%- if m.role == 'system' -%}{{ raise_exception('no system role') }}"
    "{%- elif m.role == 'user' -%}[INST] {{ m.content }}[/INST]"
    "{%- elif m.role == 'tool' -%}"
    "{%- if m.tool_call_id | length != 9 -%}{{ raise_exception('bad id') }}{%- endif -%}"
    "[TOOL_RESULTS] {{ m.content }} {{ m.tool_call_id }}[/TOOL_RESULTS]"
    "{%- elif m.tool_calls -%}[TOOL_CALLS] ["
    "{%- for c in m.tool_calls -%}"
    "{%- if c.id | length != 9 -%}{{ raise_exception('bad id') }}{%- endif -%}"
    "{{ c.function | tojson }}{{ c.id }}{%- endfor -%}]"
    "{%- else -%}{{ m.content }}</s>{%- endif -%}"
    "{%- endfor -%}";

// Of Gemma's first kind: users and models in turn, and nothing else.
constexpr std::string_view kPlainTurns =
    "{%- for m in messages -%}"
    "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('in turn') }}"
    "{%- endif -%}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{%- endfor -%}";

RenderInput conversation() {
  RenderInput input;
  input.tools = boost::json::parse(R"([{"type": "function", "function": {"name": "look_up",
    "description": "Looks up a word.", "parameters": {"type": "object",
    "properties": {"word": {"type": "string"}}}}}])")
                    .get_array();
  input.messages = boost::json::parse(R"([
    {"role": "user", "content": "What is a kea?"},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "call_1", "type": "function",
       "function": {"name": "look_up", "arguments": "{\"word\": \"kea\"}"}},
      {"id": "call_2", "function": {"name": "look_up", "arguments": {"word": "größe"}}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "A parrot."},
    {"role": "tool", "tool_call_id": "call_2", "content": "Size."}])")
                       .get_array();
  return input;
}

struct Fitted {
  ToolFormat format;
  std::string text;
};

Fitted fit(std::string_view source, RenderInput input = conversation()) {
  const auto parsed = ChatTemplate::parse(source);
  EXPECT_TRUE(parsed);
  Fitted fitted{probe_tool_format(*parsed, source), ""};
  fit_tools(fitted.format, input);
  const auto prompt = parsed->render(input);
  EXPECT_TRUE(prompt) << prompt.error().message;
  if (prompt) fitted.text = prompt->text;
  return fitted;
}

void expect_in_order(const std::string& text, const std::vector<std::string_view>& parts) {
  size_t at = 0;
  for (const std::string_view part : parts) {
    const size_t found = text.find(part, at);
    ASSERT_NE(found, std::string::npos) << part << " after " << at << " in:\n" << text;
    at = found + part.size();
  }
}

TEST(ToolPrompt, DeepSeekIsToldOfItsOwnFormat) {
  const auto source = read_file(kData / "deepseek-r1-0528.jinja", 1 << 20);
  ASSERT_TRUE(source);
  const Fitted fitted = fit(*source);
  EXPECT_EQ(fitted.format.style, ToolStyle::kDeepSeek);
  EXPECT_FALSE(fitted.format.renders_tools);
  EXPECT_TRUE(fitted.format.renders_calls);
  EXPECT_TRUE(fitted.format.takes_system);
  expect_in_order(
      fitted.text,
      {"look_up", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
       "<｜User｜>What is a kea?<｜Assistant｜><｜tool▁calls▁begin｜>",
       "<｜tool▁sep｜>look_up\n```json\n{\"word\": \"kea\"}\n```<｜tool▁call▁end｜>",
       "<｜tool▁sep｜>look_up\n```json\n{\"word\":\"größe\"}\n```<｜tool▁call▁end｜>",
       "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>A parrot.<｜tool▁output▁end｜>", "Size."});
}

TEST(ToolPrompt, ATemplateWithoutToolsGetsThemInWords) {
  const Fitted chatml = fit(chatml_template());
  EXPECT_FALSE(chatml.format.renders_tools);
  EXPECT_FALSE(chatml.format.renders_calls);
  EXPECT_TRUE(chatml.format.takes_system);
  expect_in_order(chatml.text,
                  {"<|im_start|>system\n", "\"name\":\"look_up\"", "<tool_call>", "<|im_end|>",
                   "<|im_start|>user\nWhat is a kea?<|im_end|>",
                   "<|im_start|>assistant\n<tool_call>\n{\"name\": \"look_up\", \"arguments\": "
                   "{\"word\": \"kea\"}}\n</tool_call>\n<tool_call>",
                   "<|im_start|>user\n<tool_response>\nA parrot.\n</tool_response>\n"
                   "<tool_response>\nSize.\n</tool_response><|im_end|>"});

  const Fitted plain = fit(kPlainTurns);
  EXPECT_FALSE(plain.format.takes_system);
  expect_in_order(plain.text, {"<user>What is a kea?\n\nYou can call functions.", "look_up",
                               "</user><assistant><tool_call>", "</assistant><user><tool_response>",
                               "Size.\n</tool_response></user>"});
}

TEST(ToolPrompt, ASystemMessageStaysFirst) {
  RenderInput input = conversation();
  input.messages.insert(input.messages.begin(),
                        boost::json::object{{"role", "system"}, {"content", "Be brief."}});
  const Fitted chatml = fit(chatml_template(), input);
  expect_in_order(chatml.text,
                  {"<|im_start|>system\nBe brief.\n\nYou can call functions.", "<|im_end|>"});
  EXPECT_EQ(chatml.text.find("<|im_start|>system", 5), std::string::npos);
}

TEST(ToolPrompt, MistralGetsItsIds) {
  const Fitted fitted = fit(kMistralLike);
  EXPECT_TRUE(fitted.format.renders_tools);
  EXPECT_TRUE(fitted.format.renders_calls);
  EXPECT_FALSE(fitted.format.takes_system);
  // A call and its result keep one id.
  const size_t call = fitted.text.find("\"kea\"}}") + 7;
  const std::string id = fitted.text.substr(call, 9);
  EXPECT_NE(fitted.text.find("A parrot. " + id), std::string::npos) << fitted.text;
  RenderInput input = conversation();
  input.messages[1].at("tool_calls").at(0).as_object()["id"] = "abcDEF123";
  input.messages[2].as_object()["tool_call_id"] = "abcDEF123";
  EXPECT_NE(fit(kMistralLike, input).text.find("A parrot. abcDEF123"), std::string::npos);
}

TEST(ToolPrompt, ChangesNothingWithoutTools) {
  RenderInput input;
  input.messages = {{{"role", "system"}, {"content", "S"}},
                    {{"role", "user"}, {"content", "U"}},
                    {{"role", "assistant"}, {"content", nullptr}}};
  const boost::json::array before = input.messages;
  fit_tools({}, input);
  EXPECT_EQ(input.messages, before);
  fit_tools({.style = ToolStyle::kMistral, .renders_tools = true, .renders_calls = true}, input);
  EXPECT_EQ(input.messages, before);
}

// Odd messages come through for the template to refuse.
TEST(ToolPrompt, TakesAnyMessages) {
  for (const char* text :
       {R"([1, null, "x", [], {}])", R"([{"role": 5}])", R"([{"role": "tool"}])",
        R"([{"role": "assistant", "tool_calls": [1, {}, {"function": 2}, {"function": {}}]}])",
        R"([{"role": "tool", "content": [1]}, {"role": "tool", "tool_call_id": 3}])"}) {
    for (const bool renders : {false, true}) {
      for (const ToolStyle style :
           {ToolStyle::kHermes, ToolStyle::kDeepSeek, ToolStyle::kLlama, ToolStyle::kMistral}) {
        RenderInput input;
        input.messages = boost::json::parse(text).get_array();
        input.tools = {1, boost::json::object{{"function", 3}}};
        fit_tools({style, renders, renders, renders}, input);
        EXPECT_FALSE(input.messages.empty());
      }
    }
  }
}

TEST(WriteCalls, IsWhatTheParserReads) {
  const std::vector<WrittenCall> calls = {{"f", "{\"x\": \"</tool_call>\"}"}, {"g", "{}"}};
  for (const ToolStyle style :
       {ToolStyle::kHermes, ToolStyle::kDeepSeek, ToolStyle::kLlama, ToolStyle::kMistral}) {
    ToolCallParser parser(style);
    std::vector<ToolCallParser::Piece> pieces;
    parser.push(write_calls(style, calls), pieces);
    parser.finish(pieces);
    ASSERT_EQ(parser.num_calls(), 2);
    ASSERT_EQ(pieces.size(), 4u);
    for (size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(pieces[2 * i].text, calls[i].name);
      EXPECT_EQ(pieces[2 * i + 1].text, calls[i].arguments);
    }
  }
}

TEST(NoThinking, IsAnEmptyBlock) {
  EXPECT_EQ(no_thinking_after("<｜Assistant｜>"), "<think>\n\n</think>\n\n");
  EXPECT_EQ(no_thinking_after("<｜Assistant｜><think>\n"), "\n</think>\n\n");
  EXPECT_EQ(no_thinking_after("<think>\n\n</think>\n\n"), "");
}

}  // namespace
}  // namespace hachi::chat
