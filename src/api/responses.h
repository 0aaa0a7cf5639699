// POST /v1/responses: the request, and the answer as one object. response_stream.h has its events.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/error.h"
#include "api/messages.h"
#include "api/output_format.h"
#include "api/reasoning.h"
#include "api/response_parts.h"
#include "api/sampling.h"
#include "api/tools.h"

namespace hachi::api {

// No response is stored: each request brings its whole conversation.
struct ResponsesRequest {
  std::string model;
  json::array messages;     // instructions and input, as read_messages gives them
  SamplingFields sampling;  // with n = 1
  bool stream = false;
  ScheduleFields schedule;
  TemplateFields prompt;
  std::optional<int64_t> max_output_tokens;  // at least 1; not set: as many as the context holds
  bool logprobs = false;                     // asked for by `include`, or by top_logprobs above 0
  int64_t top_logprobs = 0;                  // 0 to kMaxTopLogprobs
  ReasoningFields reasoning;                 // prompt.enable_thinking is its `enable`
  OutputFormat format;                       // text.format
  ToolFields tools;
  // The members of the response that repeat the request: `"instructions":null,…`
  std::string echo;
};

ApiResult<ResponsesRequest> parse_responses_request(std::string_view body);

// What the model said: an item of thoughts, the message, then one of each call. Without thoughts
// their item is left out; without a text that of the message, unless the answer ended with it.
struct ResponseOutput {
  std::string_view reasoning;
  std::string_view text;
  std::optional<std::span<const TokenLogprob>> logprobs;  // of the text
  // The budget for thoughts was spent: the status of their item is "incomplete".
  bool reasoning_truncated = false;
  std::span<const ToolCall> tool_calls;
};

// The whole answer. kLength makes its status "incomplete".
void append_response(std::string& out, const ResponseHead& head, const ResponsesRequest& request,
                     const ResponseOutput& output, FinishReason reason, const Usage& usage);

}  // namespace hachi::api
