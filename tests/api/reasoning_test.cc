#include "api/reasoning.h"

#include <string>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "api/chat_completions.h"
#include "api/responses.h"

namespace hachi::api {
namespace {

// The same of both endpoints that take it.
ReasoningFields reasoning_of(const std::string& members) {
  const auto chat = parse_chat_request(
      R"({"model":"m","messages":[{"role":"user","content":"Hi"}],)" + members + "}");
  EXPECT_TRUE(chat) << members << "\n" << chat.error().message;
  const auto response = parse_responses_request(R"({"model":"m","input":"Hi",)" + members + "}");
  EXPECT_TRUE(response) << members << "\n" << response.error().message;
  if (!chat || !response) return {};
  EXPECT_EQ(chat->prompt.enable_thinking, chat->reasoning.enable) << members;
  EXPECT_EQ(response->prompt.enable_thinking, chat->reasoning.enable) << members;
  EXPECT_EQ(response->reasoning.enable, chat->reasoning.enable) << members;
  EXPECT_EQ(response->reasoning.budget, chat->reasoning.budget) << members;
  EXPECT_EQ(response->reasoning.effort, chat->reasoning.effort) << members;
  EXPECT_EQ(response->reasoning.include, chat->reasoning.include) << members;
  return chat->reasoning;
}

TEST(Reasoning, IsUpToTheModelWhereNothingIsSaid) {
  const ReasoningFields none = reasoning_of(R"("reasoning": {}, "thinking_budget": null)");
  EXPECT_EQ(none.enable, std::nullopt);
  EXPECT_EQ(none.budget, std::nullopt);
  EXPECT_EQ(none.effort, "");
  EXPECT_TRUE(none.include);
}

TEST(Reasoning, ReadsABudgetUnderEachName) {
  for (const char* members :
       {R"("thinking_token_budget": 7)", R"("thinking_budget_tokens": 7)",
        R"("reasoning_budget": 7)", R"("thinking_budget": 7)", R"("reasoning": {"max_tokens": 7})",
        R"("chat_template_kwargs": {"thinking_budget": 7})",
        R"("thinking": {"type": "adaptive", "budget_tokens": 7})"}) {
    EXPECT_EQ(reasoning_of(members).budget, 7) << members;
    EXPECT_EQ(reasoning_of(members).enable, std::nullopt) << members;
  }
  EXPECT_EQ(reasoning_of(R"("thinking_budget": 0)").budget, 0);
  EXPECT_EQ(reasoning_of(R"("thinking_budget": -1)").budget, kNoThinkingLimit);
  EXPECT_EQ(reasoning_of(R"("thinking_budget": 2147483647)").budget, 2147483647);
}

TEST(Reasoning, ReadsWhetherToThinkUnderEachName) {
  for (const bool on : {true, false}) {
    const std::string word = on ? "true" : "false";
    const std::string type = on ? "enabled" : "disabled";
    for (const std::string& members :
         {"\"enable_thinking\": " + word,
          "\"chat_template_kwargs\": {\"enable_thinking\": " + word + "}",
          "\"reasoning\": {\"enabled\": " + word + "}",
          "\"thinking\": {\"type\": \"" + type + "\"}",
          "\"enable_thinking\": " + word + ", \"thinking\": {\"type\": \"" + type + "\"}"}) {
      EXPECT_EQ(reasoning_of(members).enable, on) << members;
    }
  }
  EXPECT_EQ(reasoning_of(R"("reasoning_effort": "none")").enable, false);
  EXPECT_EQ(reasoning_of(R"("reasoning": {"effort": "none"})").enable, false);
  EXPECT_EQ(reasoning_of(R"("thinking": {"type": "adaptive"})").enable, std::nullopt);
  EXPECT_EQ(reasoning_of(R"("reasoning_effort": "low")").enable, std::nullopt);
}

TEST(Reasoning, ReadsTheEffortAndWhetherItIsShown) {
  for (const std::string effort : {"none", "minimal", "low", "medium", "high", "xhigh", "max"}) {
    EXPECT_EQ(reasoning_of("\"reasoning_effort\": \"" + effort + "\"").effort, effort);
    EXPECT_EQ(reasoning_of("\"reasoning\": {\"effort\": \"" + effort + "\"}").effort, effort);
  }
  EXPECT_FALSE(reasoning_of(R"("include_reasoning": false)").include);
  EXPECT_FALSE(reasoning_of(R"("reasoning": {"exclude": true})").include);
  EXPECT_TRUE(reasoning_of(R"("reasoning": {"exclude": false})").include);
  // A budget is the sharper word, not another one.
  const ReasoningFields both = reasoning_of(R"("reasoning_effort": "high", "thinking_budget": 5)");
  EXPECT_EQ(both.effort, "high");
  EXPECT_EQ(both.budget, 5);
}

TEST(Reasoning, LeavesTheBudgetToTemplatesThatWriteIt) {
  const auto chat = parse_chat_request(
      R"({"model":"m","messages":[{"role":"user","content":"Hi"}],
          "chat_template_kwargs":{"thinking_budget":7,"enable_thinking":true}})");
  ASSERT_TRUE(chat);
  EXPECT_EQ(boost::json::value(chat->prompt.variables),
            boost::json::parse(R"({"thinking_budget":7})"));
}

}  // namespace
}  // namespace hachi::api
