// The tools that a model may call and which of them it has to, as OpenAI's two APIs and Anthropic's
// have them.
#pragma once

#include <cstddef>
#include <string>

#include "api/fields.h"

namespace hachi::api {

inline constexpr size_t kMaxTools = 512;  // OpenAI allows 128
inline constexpr size_t kMaxToolName = 64;
inline constexpr size_t kMaxToolBytes = 4 << 20;  // of all tools of a request, as JSON

struct ToolFields {
  enum class Choice {
    kAuto,      // the model decides
    kNone,      // no call; also where there are no tools
    kRequired,  // at least one call
    kNamed,     // a call of `name`
  };

  // Those that may be called, as chat templates read them: {"type": "function", "function":
  // {"name", "description", "parameters", "strict"}}, the last three if they were given. Names are
  // 1 to kMaxToolName of a-z, A-Z, 0-9, _ and -, no two the same. parameters is an object.
  json::array tools;
  Choice choice = Choice::kNone;
  std::string name;      // kNamed: one of the tools
  bool parallel = true;  // false: one call at most
};

// Chat: tools, tool_choice, parallel_tool_calls, or the older functions and function_call, which
// knew one call at a time. A tool_choice of allowed_tools leaves out all others.
ToolFields read_chat_tools(FieldReader& fields);

// The Responses API, where a function's fields stand beside its type.
ToolFields read_response_tools(FieldReader& fields);

// Anthropic: tools with an input_schema; tool_choice with disable_parallel_tool_use.
ToolFields read_anthropic_tools(FieldReader& fields);

}  // namespace hachi::api
