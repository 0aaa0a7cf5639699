// Golden transcripts of each style of tool calls, each at every cut of its text.
#include "chat/tool_call_parser.h"

#include <random>

#include <gtest/gtest.h>

namespace hachi::chat {
namespace {

using Kind = ToolCallParser::Kind;

struct Call {
  std::string name, arguments;
  friend bool operator==(const Call&, const Call&) = default;
};

void PrintTo(const Call& call, std::ostream* out) { *out << call.name << call.arguments; }

struct Parsed {
  std::string content;
  std::vector<Call> calls;
  bool broken_off = false;
};

void add(Parsed& parsed, const std::vector<ToolCallParser::Piece>& pieces) {
  for (const auto& [kind, call, text] : pieces) {
    EXPECT_FALSE(text.empty());
    if (kind == Kind::kContent) {
      parsed.content += text;
    } else if (kind == Kind::kName) {
      // A call begins with its whole name, and calls come one after the other.
      EXPECT_EQ(call, static_cast<int>(parsed.calls.size()));
      parsed.calls.push_back({text, ""});
    } else {
      ASSERT_EQ(call, static_cast<int>(parsed.calls.size()) - 1);
      parsed.calls.back().arguments += text;
    }
  }
}

Parsed parse(ToolStyle style, const std::vector<std::string_view>& chunks) {
  ToolCallParser parser(style);
  Parsed parsed;
  for (const std::string_view chunk : chunks) {
    std::vector<ToolCallParser::Piece> pieces;
    parser.push(chunk, pieces);
    add(parsed, pieces);
  }
  std::vector<ToolCallParser::Piece> pieces;
  parser.finish(pieces);
  add(parsed, pieces);
  EXPECT_EQ(parser.num_calls(), static_cast<int>(parsed.calls.size()));
  parsed.broken_off = parser.is_broken_off();
  return parsed;
}

void expect_parsed(const Parsed& found, const Parsed& wanted, std::string_view text) {
  EXPECT_EQ(found.content, wanted.content) << text;
  EXPECT_EQ(found.calls, wanted.calls) << text;
  EXPECT_EQ(found.broken_off, wanted.broken_off) << text;
}

// At every cut in two, byte by byte, and at many random cuts.
void expect_parse(ToolStyle style, std::string_view text, const Parsed& wanted) {
  expect_parsed(parse(style, {text}), wanted, text);
  for (size_t at = 1; at < text.size(); ++at) {
    expect_parsed(parse(style, {text.substr(0, at), text.substr(at)}), wanted, text);
  }
  std::mt19937 random(7);
  for (size_t most = 1; most < 20; ++most) {
    std::vector<std::string_view> chunks;
    for (size_t at = 0; at < text.size();) {
      const size_t size = most == 1 ? 1 : 1 + random() % most;
      chunks.push_back(text.substr(at, size));
      at += chunks.back().size();
    }
    expect_parsed(parse(style, chunks), wanted, text);
  }
}

const std::string kNested = R"({"a": [{"b": "}</tool_call>]"}, "\"{", 1.5e3], "größe": "日本 \\"})";

TEST(HermesCalls, Golden) {
  const auto expect = [](std::string_view text, const Parsed& wanted) {
    expect_parse(ToolStyle::kHermes, text, wanted);
  };
  expect("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>",
         {"", {{"f", "{\"x\": 1}"}}});
  expect(
      "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"g\", \"arguments\": " +
          kNested + "}\n</tool_call>\n",
      {"I look.", {{"f", "{}"}, {"g", kNested}}});
  // Keys in any order, others beside them, arguments as a string, and none at all.
  expect("<tool_call>{\"arguments\":{\"x\":[1,2]},\"id\":7,\"name\":\"f\"}</tool_call>",
         {"", {{"f", "{\"x\":[1,2]}"}}});
  expect("<tool_call>{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": \\\"\\u00e9\\\"}\"}</tool_call>",
         {"", {{"f", "{\"x\": \"é\"}"}}});
  expect("<tool_call>{\"name\":\"f\"}</tool_call> done", {" done", {{"f", "{}"}}});
  // A list of calls; a closing mark that is missing.
  expect(
      "<tool_call>[{\"name\":\"f\",\"arguments\":{}}, {\"name\":\"g\",\"arguments\":{}}]"
      "</tool_call>",
      {"", {{"f", "{}"}, {"g", "{}"}}});
  expect("<tool_call>{\"name\":\"f\",\"arguments\":{}}\n<tool_call>{\"name\":\"g\"}</tool_call>",
         {"", {{"f", "{}"}, {"g", "{}"}}});
}

TEST(HermesCalls, WhatIsNoneIsContent) {
  const auto expect = [](std::string_view text, const Parsed& wanted) {
    expect_parse(ToolStyle::kHermes, text, wanted);
  };
  expect("No tools here: 1 < 2, <tool_c>, \n\n {\"name\": 1}\n",
         {"No tools here: 1 < 2, <tool_c>, \n\n {\"name\": 1}\n", {}});
  expect("<tool_call> is a mark", {"<tool_call> is a mark", {}});
  expect("<tool_call>[]</tool_call>", {"<tool_call>[]</tool_call>", {}});
  expect("<tool_call>{\"x\": 1}</tool_call>", {"<tool_call>{\"x\": 1}</tool_call>", {}});
  expect("<tool_call>{\"name\": 5}", {"<tool_call>{\"name\": 5}", {}});
  expect("a <tool_call> b <tool_call>{\"name\":\"f\"}</tool_call>",
         {"a <tool_call> b", {{"f", "{}"}}});
}

TEST(HermesCalls, BrokenOff) {
  const auto expect = [](std::string_view text, const Parsed& wanted) {
    expect_parse(ToolStyle::kHermes, text, wanted);
  };
  expect("x <tool_call>\n{\"na", {"x <tool_call>\n{\"na", {}, true});
  expect("x <tool_call>\n{\"name\": \"f\", \"argu", {"x", {{"f", ""}}, true});
  expect("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": \"a",
         {"", {{"f", "{\"x\": \"a"}}, true});
  // Without its end mark a call is whole all the same.
  expect("<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool", {"", {{"f", "{}"}}, false});
  // What is no JSON ends the call; what stands before its end mark is lost.
  expect("<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": <b>}}</tool_call> on",
         {" on", {{"f", "{\"x\": "}}, true});
  expect("<tool_ca", {"<tool_ca", {}});
}

std::string deepseek_call(std::string_view name, std::string_view arguments) {
  return fmt::format(
      "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n{}\n```"
      "<｜tool▁call▁end｜>",
      name, arguments);
}

TEST(DeepSeekCalls, Golden) {
  const auto expect = [](const std::string& text, const Parsed& wanted) {
    expect_parse(ToolStyle::kDeepSeek, text, wanted);
  };
  const std::string begin = "<｜tool▁calls▁begin｜>", end = "<｜tool▁calls▁end｜>";
  expect(begin + deepseek_call("f", "{\"x\": 1}") + end, {"", {{"f", "{\"x\": 1}"}}});
  expect("Ich sehe nach.\n\n" + begin + deepseek_call("f", kNested) + "\n" +
             deepseek_call("g", "{}") + end,
         {"Ich sehe nach.", {{"f", kNested}, {"g", "{}"}}});
  // A section that is not opened or closed, a call that is not closed, V3.1's order.
  expect(deepseek_call("f", "{}"), {"", {{"f", "{}"}}});
  expect(begin + "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```\n" +
             deepseek_call("g", "{}"),
         {"", {{"f", "{}"}, {"g", "{}"}}});
  expect(begin + "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"x\": 2}<｜tool▁call▁end｜>" + end,
         {"", {{"f", "{\"x\": 2}"}}});
  expect(begin + "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f<｜tool▁call▁end｜>" + end + "x",
         {"x", {{"f", "{}"}}});
}

TEST(DeepSeekCalls, BrokenOffOrNone) {
  const auto expect = [](const std::string& text, const Parsed& wanted) {
    expect_parse(ToolStyle::kDeepSeek, text, wanted);
  };
  const std::string begin = "<｜tool▁calls▁begin｜>", end = "<｜tool▁calls▁end｜>";
  expect("1 <｜ 2", {"1 <｜ 2", {}});
  expect("<｜tool▁calls▁beg", {"<｜tool▁calls▁beg", {}});
  expect(begin + end, {begin + end, {}});
  expect(begin + "\n<b>", {begin + "\n<b>", {}});
  expect(begin + "<｜tool▁call▁begin｜>fun", {begin + "<｜tool▁call▁begin｜>fun", {}, true});
  const std::string call = deepseek_call("f", "{\"x\": [1]}");
  const size_t at = call.find("[1");
  expect(begin + call.substr(0, at), {"", {{"f", "{\"x\": "}}, true});
  expect(begin + call.substr(0, at) + "?" + call.substr(at) + end + "on",
         {"on", {{"f", "{\"x\": "}}, true});
  const std::string long_name(300, 'x');
  expect(begin + "<｜tool▁call▁begin｜>" + long_name,
         {begin + "<｜tool▁call▁begin｜>" + long_name, {}});
}

TEST(LlamaCalls, Golden) {
  const auto expect = [](std::string_view text, const Parsed& wanted) {
    expect_parse(ToolStyle::kLlama, text, wanted);
  };
  expect("{\"name\": \"f\", \"parameters\": {\"x\": 1}}", {"", {{"f", "{\"x\": 1}"}}});
  expect("\n{\"type\": \"function\", \"name\": \"f\", \"parameters\": " + kNested + "}",
         {"", {{"f", kNested}}});
  expect("<|python_tag|>{\"name\": \"f\", \"parameters\": {}}", {"", {{"f", "{}"}}});
  expect("{\"name\": \"f\", \"parameters\": {}}; {\"parameters\": {}, \"name\": \"g\"}",
         {"", {{"f", "{}"}, {"g", "{}"}}});
}

TEST(LlamaCalls, JsonThatIsAnAnswerIsContent) {
  const auto expect = [](std::string_view text, const Parsed& wanted) {
    expect_parse(ToolStyle::kLlama, text, wanted);
  };
  for (const char* answer :
       {"{\"name\": \"Bob\"}", "{\"name\": \"Bob\", \"age\": 3}", "{\"x\": 1}", "{}", "{",
        "{\"name\": \"f\", \"parameters\": 3}", "text {\"name\": \"f\", \"parameters\": {}}",
        "<|python_tag|>print(1)"}) {
    expect(answer, {answer, {}});
  }
  expect("{\"name\": \"f\", \"parameters\": {\"x\"", {"", {{"f", "{\"x\""}}, true});
}

TEST(MistralCalls, Golden) {
  const auto expect = [](std::string_view text, const Parsed& wanted) {
    expect_parse(ToolStyle::kMistral, text, wanted);
  };
  expect("[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"x\": 1}, \"id\": \"abcdefghi\"}]",
         {"", {{"f", "{\"x\": 1}"}}});
  expect("Hm. [TOOL_CALLS][{\"name\": \"f\", \"arguments\": " + kNested +
             "}, {\"arguments\": {}, \"name\": \"g\"}]",
         {"Hm.", {{"f", kNested}, {"g", "{}"}}});
  expect("[TOOL_CALLS]{\"name\": \"f\", \"arguments\": {}} and on", {" and on", {{"f", "{}"}}});
  expect("[1, 2] [TOOL", {"[1, 2] [TOOL", {}});
  expect("[TOOL_CALLS] none", {"[TOOL_CALLS] none", {}});
  expect("[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"x", {"", {{"f", "{\"x"}}, true});
}

// Any text at all: the same at any cut, and without a call nothing is lost.
TEST(ToolCallParser, AnyTextIsTheSameAtAnyCut) {
  const std::vector<std::string> parts = {"<tool_call>",
                                          "</tool_call>",
                                          "<｜tool▁calls▁begin｜>",
                                          "<｜tool▁call▁begin｜>",
                                          "function",
                                          "<｜tool▁sep｜>",
                                          "f\n```json\n",
                                          "\n```",
                                          "<｜tool▁call▁end｜>",
                                          "<｜tool▁calls▁end｜>",
                                          "[TOOL_CALLS]",
                                          "<|python_tag|>",
                                          "{\"name\": \"f\"",
                                          ", ",
                                          "\"arguments\": ",
                                          "\"parameters\": ",
                                          "{\"x\": \"y\"}",
                                          "}",
                                          "[",
                                          "]",
                                          "{",
                                          " ",
                                          "\n",
                                          "é",
                                          "12",
                                          "\"",
                                          "<"};
  for (const ToolStyle style :
       {ToolStyle::kHermes, ToolStyle::kDeepSeek, ToolStyle::kLlama, ToolStyle::kMistral}) {
    for (uint32_t seed = 0; seed < 400; ++seed) {
      std::mt19937 random(seed);
      std::string text;
      for (uint32_t left = 1 + random() % 12; left > 0; --left) {
        text += parts[random() % parts.size()];
      }
      const Parsed whole = parse(style, {text});
      EXPECT_TRUE(!whole.calls.empty() || whole.content == text) << text;
      expect_parse(style, text, whole);
    }
  }
}

}  // namespace
}  // namespace hachi::chat
