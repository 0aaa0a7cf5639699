// The input of a request of the Responses API, in the form that chat templates read. Inner part of
// responses.cc.
#pragma once

#include <optional>
#include <string>

#include "api/fields.h"

namespace hachi::api {

// `instructions` as a system message and `input` as read_messages gives an OpenAI conversation.
//   message               a message
//   reasoning             thoughts of the assistant's message that follows it; where none does,
//   they
//                         are of no use to the model and go
//   function_call         one of the tool_calls of the assistant's message before it, or of a new
//   one function_call_output  a message of the role tool
json::array read_response_input(FieldReader& fields,
                                const std::optional<std::string>& instructions);

}  // namespace hachi::api
