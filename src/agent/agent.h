// The loop of an agent: the model answers, its calls are run, their results go back to it, until it
// answers without a call or a limit is reached.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>

#include "agent/tool.h"
#include "core/result.h"

namespace hachi::agent {

struct ToolCall {
  std::string id;  // may be empty: the loop gives it one
  std::string name;
  std::string arguments;  // JSON text as the model wrote it, whatever that is
};

enum class Finish {
  kStop,    // the model was done, with or without calls
  kLength,  // its tokens or its time ran out
};

struct AssistantTurn {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;
  Finish finish = Finish::kStop;
  uint64_t prompt_tokens = 0;  // 0: not counted
  uint64_t completion_tokens = 0;
};

// What answers: a model in this process, a server, a script of a test.
class Model {
 public:
  virtual ~Model() = default;
  // `messages` and `tools` in the form of OpenAI's chat completions. When `context` is over it
  // stops and fails with kLimit or kCancelled, or returns what it has with Finish::kLength.
  virtual Result<AssistantTurn> answer(const boost::json::array& messages,
                                       const boost::json::array& tools,
                                       const CallContext& context) = 0;
};

struct Limits {
  int steps = 12;                      // answers of the model
  size_t calls_per_step = 8;           // those beyond are refused
  size_t answer_bytes = 32 << 10;      // of a tool's result; what is beyond is cut
  std::chrono::seconds call_time{60};  // of one tool's call
  std::chrono::seconds total_time{600};
  const std::atomic<bool>* cancelled = nullptr;  // null: never
};

// Told of each thing as it happens, on the thread of the loop. Steps count from 1.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_answer(int /*step*/, const AssistantTurn& /*turn*/, double /*seconds*/) {}
  virtual void on_call(int /*step*/, const ToolCall& /*call*/) {}
  // `result` as the model gets it
  virtual void on_result(int /*step*/, const ToolCall& /*call*/, std::string_view /*result*/,
                         bool /*failed*/, double /*seconds*/) {}
};

enum class End {
  kAnswered,   // an answer without calls
  kCut,        // the same, but the model's tokens ran out in it
  kSteps,      // Limits::steps
  kTime,       // Limits::total_time
  kCancelled,  // Limits::cancelled
  kRepeated,   // one call with the same arguments, five times in a row
};

struct Outcome {
  std::string text;  // of the last answer
  End end = End::kAnswered;
  std::string reason;  // a sentence on `end`
  int steps = 0;
  uint64_t prompt_tokens = 0;  // of all steps
  uint64_t completion_tokens = 0;
};

// Appends to `messages` each answer (with reasoning_content, tool_calls) and one message of the
// role tool for each call, also when the loop ends early: so the conversation can always go on.
// What a tool or a call gets wrong is told to the model as "error: …". Fails only if the model
// does.
Result<Outcome> run(Model& model, const Toolbox& tools, boost::json::array& messages,
                    const Limits& limits, Observer& observer);

}  // namespace hachi::agent
