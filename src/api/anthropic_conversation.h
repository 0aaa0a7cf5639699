// The conversation of a request of Anthropic's API, in the form that chat templates read. Inner
// part of anthropic_messages.cc.
#pragma once

#include "api/fields.h"

namespace hachi::api {

// `system` and `messages` as read_messages gives an OpenAI conversation. A user's tool_result
// becomes a message of the role tool, with "Error: " before the content of one that is an error; an
// assistant's tool_use becomes one of its tool_calls.
json::array read_anthropic_conversation(FieldReader& fields);

}  // namespace hachi::api
