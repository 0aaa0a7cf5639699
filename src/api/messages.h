// The conversation of a chat request, in the form that chat templates read.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "api/fields.h"

namespace hachi::api {

inline constexpr size_t kMaxMessages = 100'000;  // Anthropic's limit
inline constexpr size_t kMaxParts = 4096;        // of one message
inline constexpr size_t kMaxToolCalls = 128;     // of one message

// `name` as the messages of a conversation, at least one. Each is an object with
//   role               system, developer, user, assistant or tool
//   content            a text; parts of type text are joined by newlines; null only beside calls
//   name               if given
//   reasoning_content  of an assistant, also if it came as `reasoning`
//   tool_calls         of an assistant: id, type, function.name and function.arguments, which are a
//                      text or an object as they came
//   tool_call_id       of a tool
json::array read_messages(FieldReader& fields, std::string_view name);

// A field of a message or a request that is a text or a list of parts, each {"type": one of
// `part_types`, "text": …}; the parts' texts are joined by newlines. Null if it is not there.
std::optional<std::string> read_content(FieldReader& fields, std::string_view name,
                                        std::initializer_list<std::string_view> part_types);

// How the template is to render them; chat completions and tokenize share it.
struct TemplateFields {
  std::optional<bool> enable_thinking;  // chat_template_kwargs.enable_thinking
  json::object variables;               // what else is in chat_template_kwargs
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // the answer goes on where the last message ends
  std::optional<bool> system_in_user;   // not set: as the server has it
};

// With continue_final_message the last of `messages` is an assistant's and
// add_generation_prompt is false.
TemplateFields read_template_fields(FieldReader& fields, const json::array& messages);

}  // namespace hachi::api
