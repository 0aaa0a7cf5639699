// POST /v1/messages and /v1/messages/count_tokens, as Anthropic defines them: the request, and the
// answer as one object. message_stream.h has its events.
#pragma once

#include <cstdint>
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

struct MessagesRequest {
  std::string model;
  json::array messages;  // system and messages, as read_messages gives them
  // temperature (0 to 1), top_p, top_k and stop alone
  SamplingFields sampling;
  bool stream = false;
  int64_t max_tokens = 0;  // at least 1; 0 in a count_tokens request, which has none
  // `thinking`: enabled is true, with a budget of at least 1 and below max_tokens; disabled or left
  // out is false, and hides the thoughts of a model that thinks all the same; adaptive leaves it to
  // the model. The effort is that of output_config.
  ReasoningFields reasoning;
  OutputFormat format;
  ToolFields tools;
  // The last message is the assistant's: the answer goes on where it ends.
  bool continue_final_message = false;
};

ApiResult<MessagesRequest> parse_messages_request(std::string_view body);
// The same without max_tokens, stream and what says how to sample.
ApiResult<MessagesRequest> parse_count_tokens_request(std::string_view body);

// {"input_tokens": …}
void append_count_tokens_response(std::string& out, int64_t input_tokens);

// Why and how a message ended.
struct MessageEnd {
  FinishReason reason = FinishReason::kStop;
  std::string_view stop_sequence;    // the one that was met; empty: none
  bool reasoning_truncated = false;  // the budget for thoughts was spent: a member says so
};

struct MessageOutput {
  std::string_view thinking;  // empty: there is no such block
  std::string_view text;      // its block is always there where the answer ended with it
  std::span<const ToolCall> tool_calls;
};

// The whole answer.
void append_message(std::string& out, const ResponseHead& head, const MessageOutput& output,
                    const MessageEnd& end, const Usage& usage);

// "end_turn", "max_tokens", "stop_sequence" or "tool_use"
std::string_view stop_reason(const MessageEnd& end);

// Anthropic's input_tokens are those that the cache did not hold.
void append_message_usage(std::string& out, const Usage& usage);

}  // namespace hachi::api
