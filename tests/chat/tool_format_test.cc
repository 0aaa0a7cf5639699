#include "chat/tool_format.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "chat/tool_call_parser.h"

namespace hachi::chat {
namespace {

constexpr ToolStyle kStyles[] = {ToolStyle::kHermes, ToolStyle::kDeepSeek, ToolStyle::kLlama,
                                 ToolStyle::kMistral};

boost::json::array tools() {
  return boost::json::parse(R"([
    {"type": "function", "function": {"name": "f", "strict": true,
                                      "parameters": {"type": "object", "title": "F"}}},
    {"type": "function", "function": {"name": "g", "parameters": {"title": "G"}}},
    {"name": "h"}])")
      .get_array();
}

// A text that the grammar allows: calls `picks` in a row, each with `arguments`.
std::string text_of(const CallGrammar& grammar, const std::vector<size_t>& picks,
                    std::string_view arguments) {
  std::string text = grammar.trigger + grammar.opening;
  for (size_t i = 0; i < picks.size(); ++i) {
    if (i > 0) text += grammar.again;
    const CallGrammar::Call& call = grammar.calls[picks[i]];
    text += call.before + std::string(arguments) + call.after;
  }
  return text + grammar.close;
}

std::vector<std::string> names_in(ToolStyle style, const std::string& text) {
  ToolCallParser parser(style);
  std::vector<ToolCallParser::Piece> pieces;
  parser.push(text, pieces);
  parser.finish(pieces);
  EXPECT_FALSE(parser.is_broken_off()) << text;
  std::vector<std::string> names;
  for (const auto& [kind, call, piece] : pieces) {
    EXPECT_NE(kind, ToolCallParser::Kind::kContent) << piece;
    if (kind == ToolCallParser::Kind::kName) names.push_back(piece);
    EXPECT_TRUE(kind != ToolCallParser::Kind::kArguments || piece == "{\"x\": 1}") << piece;
  }
  return names;
}

TEST(ToolStyle, IsKnownByTheMarksOfTheTemplate) {
  EXPECT_EQ(tool_style("{{ '<｜tool▁calls▁begin｜>' }}"), ToolStyle::kDeepSeek);
  EXPECT_EQ(tool_style("... <tool_call> ..."), ToolStyle::kHermes);
  EXPECT_EQ(tool_style("{{ '[TOOL_CALLS] [' }}"), ToolStyle::kMistral);
  EXPECT_EQ(tool_style("Environment: ipython"), ToolStyle::kLlama);
  EXPECT_EQ(tool_style("plain"), ToolStyle::kHermes);
}

// What a grammar lets a model write is what the parser reads.
TEST(CallGrammar, TellsOfTextsThatTheParserReads) {
  for (const ToolStyle style : kStyles) {
    for (const ToolChoice choice : {ToolChoice::kAuto, ToolChoice::kRequired}) {
      const auto any = call_grammar(style, tools(), choice, "", true);
      ASSERT_TRUE(any);
      ASSERT_EQ(any->calls.size(), 3u);
      for (size_t i = 0; i < 3; ++i) {
        const std::string name = i == 0 ? "f" : i == 1 ? "g" : "h";
        EXPECT_EQ(names_in(style, text_of(*any, {i}, "{\"x\": 1}")),
                  std::vector<std::string>{name});
      }
      if (any->max_calls > 1) {
        EXPECT_EQ(names_in(style, text_of(*any, {1, 0, 2}, "{\"x\": 1}")),
                  (std::vector<std::string>{"g", "f", "h"}));
      }
      const auto named = call_grammar(style, tools(), choice, "g", true);
      ASSERT_TRUE(named);
      ASSERT_EQ(named->calls.size(), 1u);
      EXPECT_EQ(names_in(style, text_of(*named, {0}, "{\"x\": 1}")), std::vector<std::string>{"g"});
      if (named->max_calls > 1) {
        EXPECT_EQ(names_in(style, text_of(*named, {0, 0}, "{\"x\": 1}")),
                  (std::vector<std::string>{"g", "g"}));
      }
      EXPECT_EQ(call_grammar(style, tools(), choice, "", false)->max_calls, 1);
    }
  }
}

TEST(CallGrammar, HoldsToTheSchemasThatItMust) {
  const auto must = call_grammar(ToolStyle::kHermes, tools(), ToolChoice::kRequired, "", true);
  EXPECT_EQ(must->calls[0].schema, R"({"type":"object","title":"F"})");
  EXPECT_EQ(must->calls[1].schema, R"({"title":"G"})");
  EXPECT_EQ(must->calls[2].schema, R"({"type":"object"})");
  const auto may = call_grammar(ToolStyle::kHermes, tools(), ToolChoice::kAuto, "", true);
  EXPECT_EQ(may->calls[0].schema, must->calls[0].schema);
  EXPECT_EQ(may->calls[1].schema, R"({"type":"object"})");
}

TEST(CallGrammar, RefusesWhatCannotBeCalled) {
  const auto none = call_grammar(ToolStyle::kHermes, tools(), ToolChoice::kRequired, "x", true);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("\"x\""), std::string::npos);
  EXPECT_FALSE(call_grammar(ToolStyle::kHermes, {}, ToolChoice::kAuto, "", true));
  const auto nameless =
      call_grammar(ToolStyle::kHermes, {{{"type", "function"}}}, ToolChoice::kAuto, "", true);
  ASSERT_FALSE(nameless);
  EXPECT_NE(nameless.error().message.find("tools[0]"), std::string::npos);
}

}  // namespace
}  // namespace hachi::chat
