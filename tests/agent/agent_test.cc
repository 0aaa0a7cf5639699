#include "agent/agent.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "agent/calculator.h"
#include "agent/file_tools.h"
#include "agent/scratch_folder.h"
#include "core/utf8.h"

namespace hachi::agent {
namespace {

namespace json = boost::json;

// Answers by a function of the conversation so far.
class ScriptedModel : public Model {
 public:
  using Script = std::function<Result<AssistantTurn>(const json::array&, const CallContext&)>;
  explicit ScriptedModel(Script script) : script_(std::move(script)) {}

  Result<AssistantTurn> answer(const json::array& messages, const json::array& tools,
                               const CallContext& context) override {
    num_tools = tools.size();
    return script_(messages, context);
  }

  size_t num_tools = 0;

 private:
  Script script_;
};

class EchoTool : public Tool {
 public:
  EchoTool() : Tool("echo", "", object_schema({{"text", {{"type", "string"}}}}, {"text"})) {}
  Result<std::string> call(const json::object& arguments, const CallContext&) override {
    ++num_calls;
    TRY(const auto text, text_argument(arguments, "text"));
    return std::string(text);
  }
  int num_calls = 0;
};

class WaitingTool : public Tool {
 public:
  WaitingTool() : Tool("wait", "", {}) {}
  Result<std::string> call(const json::object&, const CallContext& context) override {
    while (true) {
      TRY(context.check("the end"));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
};

struct Record : Observer {
  void on_answer(int step, const AssistantTurn& turn, double seconds) override {
    EXPECT_GE(seconds, 0);
    lines.push_back(fmt::format("{}: {}|{}", step, turn.reasoning, turn.content));
  }
  void on_call(int step, const ToolCall& call) override {
    lines.push_back(fmt::format("{}: {}({})", step, call.name, call.arguments));
  }
  void on_result(int step, const ToolCall& call, std::string_view result, bool failed,
                 double seconds) override {
    EXPECT_GE(seconds, 0);
    lines.push_back(fmt::format("{}: {} {} {}", step, call.id, failed ? "failed" : "gave", result));
  }
  std::vector<std::string> lines;
};

AssistantTurn calling(std::vector<ToolCall> calls) {
  AssistantTurn turn;
  turn.calls = std::move(calls);
  return turn;
}

AssistantTurn saying(std::string content) {
  AssistantTurn turn;
  turn.content = std::move(content);
  return turn;
}

std::string last_content(const json::array& messages) {
  return std::string(messages.back().at("content").as_string());
}

class AgentTest : public testing::Test {
 protected:
  AgentTest() {
    auto tool = std::make_unique<EchoTool>();
    echo = tool.get();
    EXPECT_TRUE(tools.add(std::move(tool)));
    EXPECT_TRUE(tools.add(std::make_unique<Calculator>()));
    EXPECT_TRUE(tools.add(std::make_unique<WaitingTool>()));
  }

  Outcome run_script(ScriptedModel::Script script) {
    ScriptedModel model(std::move(script));
    const auto outcome = run(model, tools, messages, limits, record);
    EXPECT_TRUE(outcome) << outcome.error().message;
    expect_each_call_is_answered();
    return outcome ? *outcome : Outcome{};
  }

  // What the one call of the first step gives.
  std::string result_of(ToolCall call) {
    messages.clear();
    run_script([&](const json::array& so_far, const CallContext&) -> Result<AssistantTurn> {
      if (so_far.empty()) return calling({call});
      return saying("done");
    });
    return std::string(messages.at(1).at("content").as_string());
  }

  // Or no template and no server takes the conversation again.
  void expect_each_call_is_answered() {
    for (size_t i = 0; i < messages.size(); ++i) {
      const json::object& message = messages[i].as_object();
      if (!message.contains("tool_calls")) continue;
      for (const json::value& call : message.at("tool_calls").as_array()) {
        ASSERT_LT(++i, messages.size());
        EXPECT_EQ(messages[i].at("role"), "tool");
        EXPECT_EQ(messages[i].at("tool_call_id"), call.at("id"));
      }
    }
  }

  Toolbox tools;
  EchoTool* echo = nullptr;
  json::array messages;
  Limits limits;
  Record record;
};

TEST_F(AgentTest, SolvesATaskInThreeSteps) {
  ScratchFolder scratch;
  scratch.write("orders/march.txt", "apples 12\npears 30\n");
  const auto folder = std::make_shared<Folder>(*Folder::open(scratch.path()));
  ASSERT_TRUE(tools.add(std::make_unique<ListFiles>(folder)));
  ASSERT_TRUE(tools.add(std::make_unique<ReadFile>(folder)));
  messages = {{{"role", "user"}, {"content", "How many fruits were ordered in March?"}}};
  const Outcome outcome =
      run_script([](const json::array& so_far, const CallContext&) -> Result<AssistantTurn> {
        AssistantTurn turn;
        turn.prompt_tokens = 100;
        turn.completion_tokens = 10;
        if (so_far.size() == 1) {
          turn.reasoning = "which files are there?";
          turn.calls = {{"", "list_files", R"({"path": "orders"})"}};
        } else if (so_far.size() == 3) {
          EXPECT_EQ(last_content(so_far), "march.txt (19 bytes)\n");
          turn.calls = {{"b", "read_file", R"({"path": "orders/march.txt"})"}};
        } else if (so_far.size() == 5) {
          EXPECT_EQ(last_content(so_far), "apples 12\npears 30\n");
          turn.content = "Adding.";
          turn.calls = {{"c", "calculator", R"({"expression": "12 + 30"})"}};
        } else {
          turn.content = "They ordered " + last_content(so_far) + ".";
        }
        return turn;
      });
  EXPECT_EQ(outcome.text, "They ordered 42.");
  EXPECT_EQ(outcome.end, End::kAnswered);
  EXPECT_EQ(outcome.steps, 4);
  EXPECT_EQ(outcome.prompt_tokens, 400u);
  EXPECT_EQ(outcome.completion_tokens, 40u);
  EXPECT_EQ(json::value(messages), json::parse(R"([
      {"role": "user", "content": "How many fruits were ordered in March?"},
      {"role": "assistant", "content": null, "reasoning_content": "which files are there?",
       "tool_calls": [{"id": "call_1", "type": "function", "function":
         {"name": "list_files", "arguments": "{\"path\": \"orders\"}"}}]},
      {"role": "tool", "tool_call_id": "call_1", "content": "march.txt (19 bytes)\n"},
      {"role": "assistant", "content": null,
       "tool_calls": [{"id": "b", "type": "function", "function":
         {"name": "read_file", "arguments": "{\"path\": \"orders/march.txt\"}"}}]},
      {"role": "tool", "tool_call_id": "b", "content": "apples 12\npears 30\n"},
      {"role": "assistant", "content": "Adding.",
       "tool_calls": [{"id": "c", "type": "function", "function":
         {"name": "calculator", "arguments": "{\"expression\": \"12 + 30\"}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "42"},
      {"role": "assistant", "content": "They ordered 42."}])"));
  EXPECT_EQ(record.lines, (std::vector<std::string>{
                              "1: which files are there?|",
                              R"(1: list_files({"path": "orders"}))",
                              "1: call_1 gave march.txt (19 bytes)\n",
                              "2: |",
                              R"(2: read_file({"path": "orders/march.txt"}))",
                              "2: b gave apples 12\npears 30\n",
                              "3: |Adding.",
                              R"(3: calculator({"expression": "12 + 30"}))",
                              "3: c gave 42",
                              "4: |They ordered 42.",
                          }));
}

TEST_F(AgentTest, OffersTheTools) {
  ScriptedModel model([](const json::array&, const CallContext&) { return saying("hi"); });
  ASSERT_TRUE(run(model, tools, messages, limits, record));
  EXPECT_EQ(model.num_tools, 3u);
}

TEST_F(AgentTest, TellsTheModelWhatIsWrongWithACall) {
  EXPECT_EQ(result_of({"", "echo", R"({"text": "hi"})"}), "hi");
  EXPECT_EQ(result_of({"", "ech", "{}"}),
            "error: there is no tool 'ech'; there are: echo, calculator, wait");
  EXPECT_EQ(result_of({"", "echo", ""}), "error: the argument 'text' is missing");
  EXPECT_EQ(result_of({"", "echo", "[]"}), "error: the arguments: the JSON in it is not an object");
  EXPECT_EQ(result_of({"", "echo", R"({"text": "h)"}).rfind("error: the arguments: not usable", 0),
            0u);
  EXPECT_EQ(result_of({"", "echo", R"({"text": 1})"}),
            "error: the argument 'text' must be of the type string");
  EXPECT_EQ(result_of({"", "calculator", R"({"expression": "1/0"})"}), "error: a division by zero");
  EXPECT_EQ(echo->num_calls, 1);
}

TEST_F(AgentTest, WritesOnlyUtf8) {
  run_script([](const json::array& so_far, const CallContext&) -> Result<AssistantTurn> {
    if (!so_far.empty()) return saying("\xC3");
    AssistantTurn turn = calling({{"\xFF", "\xFF", "\xFF"}});
    turn.reasoning = "\x80";
    return turn;
  });
  EXPECT_TRUE(is_utf8(json::serialize(messages)));
  EXPECT_EQ(messages.size(), 3u);
}

TEST_F(AgentTest, CutsLongResults) {
  limits.answer_bytes = 10;
  EXPECT_EQ(result_of({"", "echo", R"({"text": "0123456789"})"}), "0123456789");
  EXPECT_EQ(result_of({"", "echo", R"({"text": "0123456789a"})"}),
            "0123456789\n[cut: the first 10 of 11 bytes]");
  EXPECT_EQ(result_of({"", "echo", R"({"text": "012345678\u00e4"})"}),
            "012345678\n[cut: the first 9 of 11 bytes]");
}

TEST_F(AgentTest, EndsAfterItsSteps) {
  limits.steps = 3;
  int n = 0;
  const Outcome outcome = run_script([&](const json::array&, const CallContext&) {
    ++n;
    return calling({{"", "echo", fmt::format(R"({{"text": "{}"}})", n)}});
  });
  EXPECT_EQ(outcome.end, End::kSteps);
  EXPECT_EQ(outcome.reason, "its 3 steps are over");
  EXPECT_EQ(outcome.steps, 3);
  EXPECT_EQ(echo->num_calls, 3);
}

TEST_F(AgentTest, RunsOnlySoManyCallsInAStep) {
  limits.calls_per_step = 2;
  run_script([](const json::array& so_far, const CallContext&) -> Result<AssistantTurn> {
    if (!so_far.empty()) return saying("done");
    return calling({{"a", "echo", R"({"text": "1"})"},
                    {"b", "echo", R"({"text": "2"})"},
                    {"c", "echo", R"({"text": "3"})"}});
  });
  EXPECT_EQ(echo->num_calls, 2);
  EXPECT_EQ(messages[3].at("content"), "error: not run: 2 calls in one answer are all");
}

TEST_F(AgentTest, EndsWhenItsTimeIsOver) {
  limits.total_time = std::chrono::seconds(0);
  const Outcome before =
      run_script([](const json::array&, const CallContext&) { return saying("too late"); });
  EXPECT_EQ(before.end, End::kTime);
  EXPECT_EQ(before.steps, 0);

  limits.total_time = std::chrono::seconds(1);
  const Outcome in_model =
      run_script([](const json::array&, const CallContext& context) -> Result<AssistantTurn> {
        while (!context.is_late()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return fail(Code::kLimit, "out of time");
      });
  EXPECT_EQ(in_model.end, End::kTime);
  EXPECT_EQ(in_model.reason, "its 1 seconds are over");

  const Outcome in_tool = run_script([](const json::array&, const CallContext&) {
    return calling({{"", "wait", "{}"}});
  });
  EXPECT_EQ(in_tool.end, End::kTime);
  EXPECT_EQ(last_content(messages), "error: the end did not come within the time limit");
}

TEST_F(AgentTest, GivesOneCallOnlyItsTime) {
  limits.call_time = std::chrono::seconds(0);
  EXPECT_EQ(result_of({"", "wait", "{}"}), "error: the end did not come within the time limit");
}

TEST_F(AgentTest, EndsWhenCancelled) {
  std::atomic<bool> cancelled = false;
  limits.cancelled = &cancelled;
  const Outcome in_step = run_script([&](const json::array&, const CallContext&) {
    cancelled = true;
    return calling({{"", "echo", R"({"text": "1"})"}, {"", "wait", "{}"}});
  });
  EXPECT_EQ(in_step.end, End::kCancelled);
  EXPECT_EQ(in_step.steps, 1);
  EXPECT_EQ(echo->num_calls, 0);

  messages.clear();
  cancelled = false;
  const Outcome in_model =
      run_script([&](const json::array&, const CallContext&) -> Result<AssistantTurn> {
        cancelled = true;
        AssistantTurn turn = saying("half an ans");
        turn.finish = Finish::kLength;
        return turn;
      });
  EXPECT_EQ(in_model.end, End::kCancelled);
  EXPECT_EQ(in_model.text, "half an ans");

  messages.clear();
  cancelled = false;
  const auto cancel_soon = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancelled = true;
  };
  std::thread canceller(cancel_soon);
  const Outcome in_tool = run_script([](const json::array&, const CallContext&) {
    return calling({{"", "wait", "{}"}});
  });
  canceller.join();
  EXPECT_EQ(in_tool.end, End::kCancelled);
}

TEST_F(AgentTest, TellsAnAnswerThatWasCut) {
  const Outcome outcome = run_script([](const json::array&, const CallContext&) {
    AssistantTurn turn = saying("and so");
    turn.finish = Finish::kLength;
    return turn;
  });
  EXPECT_EQ(outcome.end, End::kCut);
  EXPECT_EQ(outcome.text, "and so");
}

TEST_F(AgentTest, EndsWhenACallIsRepeated) {
  int n = 0;
  const Outcome outcome = run_script([&](const json::array&, const CallContext&) {
    // The same JSON, though not the same text.
    return calling({{"", "echo", ++n % 2 == 0 ? R"({"text":"x"})" : R"({ "text" : "x" })"}});
  });
  EXPECT_EQ(outcome.end, End::kRepeated);
  EXPECT_EQ(outcome.reason, "it called 'echo' with the same arguments 5 times in a row");
  EXPECT_EQ(outcome.steps, 5);
  EXPECT_EQ(messages[3].at("content"), "x");
  EXPECT_EQ(messages[5].at("content"),
            "x\n[this call was made 3 times in a row, with the same arguments: try another way, or "
            "answer]");
}

TEST_F(AgentTest, DoesNotTakeOtherCallsForRepeated) {
  limits.steps = 12;
  int n = 0;
  const Outcome outcome = run_script([&](const json::array&, const CallContext&) {
    return calling({{"", "echo", ++n % 3 == 0 ? R"({"text": "y"})" : R"({"text": "x"})"}});
  });
  EXPECT_EQ(outcome.end, End::kSteps);
  for (const json::value& message : messages) {
    if (message.at("role") != "tool") continue;
    EXPECT_EQ(message.at("content").as_string().size(), 1u);
  }
}

TEST_F(AgentTest, EndsWithinAStepThatRepeats) {
  const Outcome outcome = run_script([](const json::array&, const CallContext&) {
    return calling(std::vector<ToolCall>(7, {"", "nothing", "no JSON"}));
  });
  EXPECT_EQ(outcome.end, End::kRepeated);
  EXPECT_EQ(outcome.steps, 1);
  EXPECT_EQ(last_content(messages),
            "error: not run: it called 'nothing' with the same arguments 5 times in a row");
}

TEST_F(AgentTest, FailsWithTheModel) {
  ScriptedModel model([](const json::array&, const CallContext&) -> Result<AssistantTurn> {
    return fail(Code::kContextTooLong, "the conversation is too long");
  });
  const auto outcome = run(model, tools, messages, limits, record);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kContextTooLong);
}

}  // namespace
}  // namespace hachi::agent
