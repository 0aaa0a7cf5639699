#include "agent/agent.h"

#include <atomic>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "cli/agent_tools.h"
#include "cli/scratch.h"

namespace hachi::cli {
namespace {

namespace json = boost::json;

using Words = std::vector<std::string>;

Words words_of(std::string_view command) {
  const auto words = split_words(command);
  EXPECT_TRUE(words) << words.error().message;
  return words ? *words : Words{};
}

TEST(SplitWordsTest, SpacesPartWordsUnlessTheyAreQuoted) {
  EXPECT_EQ(words_of(" a\tb  c\n"), (Words{"a", "b", "c"}));
  EXPECT_EQ(words_of(R"(a 'b c' "d e")"), (Words{"a", "b c", "d e"}));
  EXPECT_EQ(words_of(R"(--x="a b"'c d'e)"), (Words{"--x=a bc de"}));
  EXPECT_EQ(words_of(R"('' "")"), (Words{"", ""}));
  EXPECT_EQ(words_of(""), Words{});
  EXPECT_EQ(words_of("  "), Words{});
}

TEST(SplitWordsTest, BackslashesTakeMeaningAway) {
  EXPECT_EQ(words_of(R"(a\ b \' \\)"), (Words{"a b", "'", "\\"}));
  EXPECT_EQ(words_of(R"("a\"b\\c\d")"), (Words{R"(a"b\c\d)"}));
  EXPECT_EQ(words_of(R"('a\')"), (Words{"a\\"}));
}

TEST(SplitWordsTest, WhatIsNotClosedIsRefused) {
  for (const char* command : {"'a", "a\"b", "a\\", "\"a\\\""}) {
    EXPECT_FALSE(split_words(command)) << command;
  }
}

std::string names_of(const AgentToolOptions& options) {
  const auto tools = make_toolbox(options, {});
  EXPECT_TRUE(tools) << tools.error().message;
  return tools ? tools->names() : "";
}

TEST(AgentToolsTest, NobodyGetsWhatWasNotAskedFor) {
  EXPECT_EQ(names_of({}), "calculator");
  const Scratch scratch;
  EXPECT_EQ(names_of({.folder = scratch.path()}), "calculator, list_files, read_file");
  EXPECT_EQ(names_of({.shell = true}), "calculator, shell");
}

TEST(AgentToolsTest, ServersBringTheirTools) {
  const std::string script = "\"" HACHI_TEST_DIR "/agent/mcp_server.py\" good";
  EXPECT_TRUE(names_of({.mcp = {"python3 " + script}}).starts_with("calculator, python3_add, "));
  const std::string both = names_of({.mcp = {"a=python3 " + script, "b-1=python3 " + script}});
  EXPECT_NE(both.find("a_echo"), std::string::npos) << both;
  EXPECT_NE(both.find("b-1_echo"), std::string::npos) << both;
}

TEST(AgentToolsTest, WhatCannotBeStartedIsNamed) {
  const auto message = [](const AgentToolOptions& options) {
    const auto tools = make_toolbox(options, {});
    return tools ? "" : tools.error().message;
  };
  EXPECT_NE(message({.folder = "/not/there"}).find("/not/there"), std::string::npos);
  EXPECT_NE(message({.mcp = {"not-a-program-of-ours"}}).find("not-a-program-of-ours"),
            std::string::npos);
  EXPECT_NE(message({.mcp = {"x="}}).find("no command"), std::string::npos);
  EXPECT_NE(message({.mcp = {"'x"}}).find("not closed"), std::string::npos);
}

TEST(AgentToolsTest, ASlowServerEndsWithTheContext) {
  const std::atomic<bool> cancelled = true;
  const auto tools = make_toolbox({.mcp = {"sleep 60"}}, {.cancelled = &cancelled});
  ASSERT_FALSE(tools);
  EXPECT_EQ(tools.error().code, Code::kCancelled);
}

// Each step as a model would take it, out of what the tools said in the step before.
class Bookkeeper : public agent::Model {
 public:
  Result<agent::AssistantTurn> answer(const json::array& messages, const json::array& tools,
                                      const agent::CallContext&) override {
    EXPECT_EQ(tools.size(), 3);
    const std::string last(messages.back().at("content").as_string());
    agent::AssistantTurn turn;
    if (messages.back().at("role") == "user") {
      turn.calls = {{"", "list_files", "{}"}};
    } else if (last.starts_with("march.txt")) {
      turn.calls = {{"", "read_file", R"({"path": "march.txt"})"}};
    } else if (last.starts_with("rent ")) {
      const auto amount = [&](std::string_view name) {
        return std::to_string(std::stoi(last.substr(last.find(name) + name.size())));
      };
      turn.calls = {{"", "calculator",
                     R"({"expression": ")" + amount("rent ") + " + " + amount("heat ") + "\"}"}};
    } else {
      turn.content = "March cost " + last + ".";
    }
    return turn;
  }
};

TEST(AgentToolsTest, ATaskOfThreeStepsIsDone) {
  const Scratch scratch;
  scratch.write("march.txt", "rent 1200\nheat 185\n");
  const auto tools = make_toolbox({.folder = scratch.path()}, {});
  ASSERT_TRUE(tools);
  Bookkeeper model;
  json::array messages = {{{"role", "user"}, {"content", "What did March cost?"}}};
  agent::Observer observer;
  const auto outcome = agent::run(model, *tools, messages, {}, observer);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->text, "March cost 1385.");
  EXPECT_EQ(outcome->end, agent::End::kAnswered);
  EXPECT_EQ(outcome->steps, 4);
}

}  // namespace
}  // namespace hachi::cli
