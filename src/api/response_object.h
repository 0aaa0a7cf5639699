// The objects inside a response, which the whole answer and the events of a stream share. Inner
// part of responses.cc and response_stream.cc.
#pragma once

#include <string>
#include <string_view>

#include "api/error.h"
#include "api/response_parts.h"

namespace hachi::api {

// What changes of a response while it is made.
struct ResponseState {
  std::string_view status;  // in_progress, completed, incomplete, failed
  std::string_view output;  // the items, JSON without the brackets
  const Usage* usage = nullptr;
  const ApiError* error = nullptr;
};

// `echo`: ResponsesRequest::echo.
void append_response_object(std::string& out, const ResponseHead& head, std::string_view echo,
                            const ResponseState& state);

// {"type": "output_text", …}; logprobs: JSON without the brackets.
void append_text_part(std::string& out, std::string_view text, std::string_view logprobs);
// {"type": "reasoning_text", …}
void append_reasoning_part(std::string& out, std::string_view text);

// Items of the output; `part`: the JSON of their one part, or empty.
void append_message_item(std::string& out, std::string_view id, std::string_view status,
                         std::string_view part);
void append_reasoning_item(std::string& out, std::string_view id, std::string_view status,
                           std::string_view part);
void append_call_item(std::string& out, std::string_view id, std::string_view status,
                      const ToolCall& call);

// "completed", or "incomplete" for one that was cut.
std::string_view response_status(FinishReason reason);

// "msg_…", "rs_…" or "fc_…" for item `index` of response "resp_…"
std::string item_id(std::string_view prefix, std::string_view response_id, int64_t index);

}  // namespace hachi::api
