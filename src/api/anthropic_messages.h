// POST /v1/messages and /v1/messages/count_tokens, as Anthropic defines them: the request, and the
// answer as one object. message_stream.h has its events.
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

struct MessagesRequest {
  std::string model;
  json::array messages;  // system and messages, as read_messages gives them
  // temperature (0 to 1), top_p, top_k and stop alone
  SamplingFields sampling;
  bool stream = false;
  int64_t max_tokens = 0;  // at least 1; 0 in a count_tokens request, which has none
  // `thinking`: enabled is true, disabled or left out is false, adaptive leaves it to the model.
  std::optional<bool> enable_thinking = false;
  // False: the thoughts of a model that thinks all the same are left out of the answer.
  bool show_thinking = false;
  std::optional<int64_t> thinking_budget;  // tokens, at least 1 and below max_tokens
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
  FinishReason reason = FinishReason::kStop;  // end_turn or max_tokens
  std::string_view stop_sequence;             // the one that was met: stop_sequence; empty: none
};

// The whole answer. Empty thinking: there is no such block; a text block is always there where the
// answer ended by itself, and else if there is text.
void append_message(std::string& out, const ResponseHead& head, std::string_view thinking,
                    std::string_view text, const MessageEnd& end, const Usage& usage);

// "end_turn", "max_tokens" or "stop_sequence"
std::string_view stop_reason(const MessageEnd& end);

// Anthropic's input_tokens are those that the cache did not hold.
void append_message_usage(std::string& out, const Usage& usage);

}  // namespace hachi::api
