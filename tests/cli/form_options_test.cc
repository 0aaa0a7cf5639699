#include "cli/form_options.h"

#include <string>

#include <gtest/gtest.h>

#include "cli/scratch.h"

namespace hachi::cli {
namespace {

using Kind = api::OutputFormat::Kind;
using Choice = api::ToolFields::Choice;

constexpr const char* kTools =
    R"([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}])";

output::FormRequest request_of(const FormOptions& options) {
  const auto request = form_request(options);
  EXPECT_TRUE(request) << request.error().message;
  return request ? *request : output::FormRequest{};
}

FormOptions with(FormOptions options, std::string_view name, std::string_view value) {
  const auto set = set_form_option(options, name, value);
  EXPECT_TRUE(set) << set.error().message;
  return options;
}

TEST(FormOptionsTest, NothingAskedForIsAFreeAnswer) {
  const output::FormRequest request = request_of({});
  EXPECT_EQ(request.format.kind, Kind::kText);
  EXPECT_EQ(request.tools.choice, Choice::kNone);
  EXPECT_EQ(request.reasoning.budget, std::nullopt);
  EXPECT_EQ(request.reasoning.enable, std::nullopt);
}

TEST(FormOptionsTest, EachOptionReachesTheRequest) {
  const Scratch scratch;
  const std::string schema = scratch.write("s.json", R"({ "type": "object", "b": 1, "a": 2 })");
  const std::string grammar = scratch.write("g.ebnf", "root ::= \"a\"");
  const std::string tools = scratch.write("t.json", kTools);
  EXPECT_EQ(request_of({.schema = schema}).format.text, R"({"type":"object","b":1,"a":2})");
  EXPECT_EQ(request_of({.schema = schema}).format.path, schema);
  EXPECT_EQ(request_of({.regex = "a+"}).format.text, "a+");
  EXPECT_EQ(request_of({.grammar = grammar}).format.text, "root ::= \"a\"");
  EXPECT_EQ(request_of({.choices = {"a", "b"}}).format.choices.size(), 2);
  EXPECT_EQ(request_of({.json_object = true}).format.kind, Kind::kJsonObject);
  EXPECT_EQ(request_of({.tools = tools}).tools.choice, Choice::kAuto);
  EXPECT_EQ(request_of({.tools = tools, .tool_choice = "none"}).tools.choice, Choice::kNone);
  const output::FormRequest named = request_of({.tools = tools, .tool_choice = "look"});
  EXPECT_EQ(named.tools.choice, Choice::kNamed);
  EXPECT_EQ(named.tools.name, "look");
  const output::FormRequest thinks = request_of({.think_budget = 7, .thinking = true});
  EXPECT_EQ(thinks.reasoning.budget, 7);
  EXPECT_EQ(thinks.reasoning.enable, true);
  EXPECT_EQ(request_of({.think_budget = 0, .thinking = false}).reasoning.budget, 0);
}

TEST(FormOptionsTest, ChatSetsOneFormAtATime) {
  FormOptions options = with({.choices = {"a", "b"}}, "schema", "s.json");
  EXPECT_TRUE(options.choices.empty());
  EXPECT_EQ(shown_form_option(options, "schema"), "s.json");
  options = with(options, "regex", "a+");
  EXPECT_EQ(options.schema, "");
  EXPECT_EQ(shown_form_option(options, "regex"), "a+");
  options = with(options, "grammar", "g.ebnf");
  EXPECT_EQ(options.regex, std::nullopt);
  options = with(options, "grammar", "off");
  EXPECT_EQ(shown_form_option(options, "grammar"), "off");
}

TEST(FormOptionsTest, ChatSetsToolsAndTheBudgetBesideThem) {
  FormOptions options = with({.regex = "a+", .tool_choice = "look"}, "tools", "t.json");
  EXPECT_EQ(shown_form_option(options, "tools"), "t.json");
  EXPECT_EQ(options.tool_choice, "look");
  options = with(options, "tools", "off");
  EXPECT_EQ(options.tool_choice, "auto");
  EXPECT_EQ(options.regex, "a+");
  options = with(options, "budget", "7");
  EXPECT_EQ(shown_form_option(options, "budget"), "7 tokens");
  for (const char* wrong : {"x", "-1", "7 tokens", "99999999999999999999", "2147483648"}) {
    EXPECT_FALSE(set_form_option(options, "budget", wrong)) << wrong;
    EXPECT_EQ(options.think_budget, 7);
  }
  EXPECT_EQ(with(options, "budget", "off").think_budget, std::nullopt);
}

}  // namespace
}  // namespace hachi::cli
