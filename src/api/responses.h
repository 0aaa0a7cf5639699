// POST /v1/responses: the request, and the answer as one object. response_stream.h has its events.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/error.h"
#include "api/messages.h"
#include "api/response_parts.h"
#include "api/sampling.h"

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
  // reasoning.effort, as in ChatRequest; "none" sets prompt.enable_thinking to false.
  std::string reasoning_effort;
  // The members of the response that repeat the request: `"instructions":null,…`
  std::string echo;
};

ApiResult<ResponsesRequest> parse_responses_request(std::string_view body);

// What the model said. The thoughts become an item of their own before the message.
struct ResponseOutput {
  std::string_view reasoning;
  std::string_view text;
  std::optional<std::span<const TokenLogprob>> logprobs;  // of the text
};

// The whole answer. kLength makes its status "incomplete".
void append_response(std::string& out, const ResponseHead& head, const ResponsesRequest& request,
                     const ResponseOutput& output, FinishReason reason, const Usage& usage);

}  // namespace hachi::api
