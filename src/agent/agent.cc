#include "agent/agent.h"

#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "agent/repetition.h"
#include "core/clock.h"
#include "core/utf8.h"
#include "formats/json.h"
#include "formats/printable.h"

namespace hachi::agent {
namespace {

namespace json = boost::json;

// The beginning of `text` as UTF-8, and how much is missing.
std::string cut(std::string text, size_t max_bytes) {
  text = replace_invalid_utf8(text);
  if (text.size() <= max_bytes) return text;
  const size_t whole = text.size();
  text.resize(complete_utf8_prefix(std::string_view(text).substr(0, max_bytes)));
  text += fmt::format("\n[cut: the first {} of {} bytes]", text.size(), whole);
  return text;
}

json::object assistant_message(const AssistantTurn& turn) {
  json::object message = {{"role", "assistant"}};
  if (turn.content.empty() && !turn.calls.empty()) {
    message["content"] = nullptr;
  } else {
    message["content"] = replace_invalid_utf8(turn.content);
  }
  if (!turn.reasoning.empty()) message["reasoning_content"] = replace_invalid_utf8(turn.reasoning);
  if (turn.calls.empty()) return message;
  json::array calls;
  for (const ToolCall& call : turn.calls) {
    calls.push_back(json::object{
        {"id", call.id},
        {"type", "function"},
        {"function", json::object{{"name", call.name}, {"arguments", call.arguments}}}});
  }
  message["tool_calls"] = std::move(calls);
  return message;
}

class Loop {
 public:
  Loop(Model& model, const Toolbox& tools, json::array& messages, const Limits& limits,
       Observer& observer)
      : model_(model),
        tools_(tools),
        definitions_(tools.definitions()),
        messages_(messages),
        limits_(limits),
        observer_(observer),
        context_(within({.cancelled = limits.cancelled}, limits.total_time)) {}

  Result<Outcome> run() {
    while (!is_over()) {
      Stopwatch watch;
      Result<AssistantTurn> turn = model_.answer(messages_, definitions_, context_);
      if (!turn) {
        // It stopped because it was told to.
        if (is_over()) return std::move(outcome_);
        return tl::unexpected<Error>(std::move(turn).error());
      }
      take(*turn, watch.seconds());
      if (turn->calls.empty()) return answered(*turn);
      run_calls(*turn);
    }
    return std::move(outcome_);
  }

 private:
  // Whether a limit is reached, which then is in outcome_.
  bool is_over() {
    if (ended_) return true;
    if (context_.is_cancelled()) {
      end(End::kCancelled, "it was cancelled");
    } else if (context_.is_late()) {
      end(End::kTime, fmt::format("its {} seconds are over", limits_.total_time.count()));
    } else if (outcome_.steps >= limits_.steps) {
      end(End::kSteps, fmt::format("its {} steps are over", limits_.steps));
    }
    return ended_;
  }

  void end(End why, std::string reason) {
    ended_ = true;
    outcome_.end = why;
    outcome_.reason = std::move(reason);
  }

  void take(AssistantTurn& turn, double seconds) {
    ++outcome_.steps;
    outcome_.text = turn.content;
    outcome_.prompt_tokens += turn.prompt_tokens;
    outcome_.completion_tokens += turn.completion_tokens;
    for (ToolCall& call : turn.calls) {
      ++calls_;
      if (call.id.empty()) call.id = fmt::format("call_{}", calls_);
      for (std::string* text : {&call.id, &call.name, &call.arguments}) {
        *text = replace_invalid_utf8(*text);
      }
    }
    messages_.push_back(assistant_message(turn));
    observer_.on_answer(outcome_.steps, turn, seconds);
  }

  Outcome answered(const AssistantTurn& turn) {
    if (turn.finish == Finish::kStop) {
      end(End::kAnswered, "it answered");
    } else if (!context_.is_cancelled() && !context_.is_late()) {
      end(End::kCut, "its tokens ran out in the answer");
    } else {
      is_over();
    }
    return std::move(outcome_);
  }

  void run_calls(const AssistantTurn& turn) {
    for (size_t i = 0; i < turn.calls.size(); ++i) {
      const ToolCall& call = turn.calls[i];
      observer_.on_call(outcome_.steps, call);
      Stopwatch watch;
      Result<std::string> result =
          i < limits_.calls_per_step ? run_call(call)
                                     : fail(Code::kLimit, "not run: {} calls in one answer are all",
                                            limits_.calls_per_step);
      const bool failed = !result;
      std::string text = cut(failed ? "error: " + result.error().message : *std::move(result),
                             limits_.answer_bytes);
      if (!ended_ && i < limits_.calls_per_step) note_repetition(call, text);
      messages_.push_back(
          json::object{{"role", "tool"}, {"tool_call_id", call.id}, {"content", text}});
      observer_.on_result(outcome_.steps, call, text, failed, watch.seconds());
    }
  }

  Result<std::string> run_call(const ToolCall& call) {
    // The step limit ends the loop only after the calls of the last step.
    if (ended_) return fail(Code::kCancelled, "not run: {}", outcome_.reason);
    TRY(context_.check("the turn of this call"));
    Tool* tool = tools_.find(call.name);
    if (tool == nullptr) {
      return fail(Code::kNotFound, "there is no tool {}; there are: {}",
                  formats::printable(call.name), tools_.names());
    }
    // Some models write nothing where there are no arguments.
    const std::string_view text = call.arguments.empty() ? "{}" : std::string_view(call.arguments);
    TRY(const json::object arguments, formats::parse_json_object(text, "the arguments"));
    TRY(check_arguments(tool->parameters(), arguments));
    return tool->call(arguments, within(context_, limits_.call_time));
  }

  void note_repetition(const ToolCall& call, std::string& text) {
    const int times = repetition_.count(call.name, call.arguments);
    if (times >= kMaxRepetitions) {
      end(End::kRepeated, fmt::format("it called {} with the same arguments {} times in a row",
                                      formats::printable(call.name), times));
    } else if (times >= kNotedRepetitions) {
      text += fmt::format(
          "\n[this call was made {} times in a row, with the same arguments: try another way, or "
          "answer]",
          times);
    }
  }

  Model& model_;
  const Toolbox& tools_;
  const json::array definitions_;
  json::array& messages_;
  const Limits& limits_;
  Observer& observer_;
  const CallContext context_;
  Repetition repetition_;
  uint64_t calls_ = 0;
  bool ended_ = false;
  Outcome outcome_;
};

}  // namespace

Result<Outcome> run(Model& model, const Toolbox& tools, json::array& messages, const Limits& limits,
                    Observer& observer) {
  return Loop(model, tools, messages, limits, observer).run();
}

}  // namespace hachi::agent
