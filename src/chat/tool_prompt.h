// What a model is told about tools where its chat template does not do it: the functions and how to
// call them, the calls of the past, and their results. The words of the prompt are our own.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "chat/chat_template.h"
#include "chat/tool_format.h"
#include "core/result.h"

namespace hachi::chat {

// What the template does about tools, found out by rendering small conversations with it.
ToolFormat probe_tool_format(const ChatTemplate& chat_template, std::string_view source);

// Makes `input` one that a template of this format renders in full:
// - Tools that it would leave out go, with how to call them, into the system message (the first
//   user message if it leaves that out too).
// - Calls and results that it would leave out become text of the assistant and of the user.
// - Calls that it writes get the shape that it expects: arguments as an object or as JSON text, and
//   for Mistral ids of nine letters or digits.
// Changes nothing where there are neither tools nor calls.
void fit_tools(const ToolFormat& format, RenderInput& input);

// The calls as the model would write them; `names` and `arguments` (JSON text) go together.
struct WrittenCall {
  std::string name, arguments;
};
std::string write_calls(ToolStyle style, std::span<const WrittenCall> calls);

}  // namespace hachi::chat
