// The events of a streamed response, in the order and with the sequence numbers that the official
// client checks:
//
//   response.created, response.in_progress
//   for each item (thoughts, then the message, then calls):
//     response.output_item.added; of a call then
//       response.function_call_arguments.delta …, response.function_call_arguments.done
//     else
//       response.content_part.added
//       response.reasoning_text.delta … or response.output_text.delta …
//       response.reasoning_text.done or response.output_text.done
//       response.content_part.done
//     response.output_item.done
//   response.completed, response.incomplete or response.failed
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/responses.h"

namespace hachi::api {

// One stream; it keeps the text that it has sent, because the last events repeat it. The functions
// append framed events and are called in this order: start, deltas, then finish or fail once.
class ResponseStream {
 public:
  ResponseStream(ResponseHead head, const ResponsesRequest& request);

  void start(std::string& out);
  void reasoning_delta(std::string& out, std::string_view delta);
  // `logprobs` are those of the delta's tokens, or empty.
  void text_delta(std::string& out, std::string_view delta,
                  std::span<const TokenLogprob> logprobs = {});
  // The budget for thoughts was spent: call it before the item of the thoughts ends.
  void truncate_reasoning() { is_truncated_ = true; }
  // Begins a call; its arguments follow, in pieces of their JSON text.
  void function_call(std::string& out, std::string_view call_id, std::string_view name);
  void arguments_delta(std::string& out, std::string_view delta);
  void finish(std::string& out, FinishReason reason, const Usage& usage);
  // The items that are done stay in the response.
  void fail(std::string& out, const ApiError& error);

 private:
  enum class Open { kNothing, kReasoning, kText, kCall };

  void open_item(std::string& out, Open kind);
  void close_part(std::string& out, std::string& item, std::string_view status);
  void close_call(std::string& out, std::string& item, std::string_view status);
  void close_item(std::string& out, std::string_view status);
  void item_event(std::string& out, std::string_view type, std::string_view item);
  void lifecycle(std::string& out, std::string_view type, const Usage* usage,
                 const ApiError* error);

  ResponseHead head_;
  std::string echo_;
  int64_t sequence_number_ = 0;
  Open open_ = Open::kNothing;
  std::string item_id_;     // of the open item
  int64_t item_index_ = 0;  // of the open item, or of the next one
  std::string text_;        // of the open item
  std::string logprobs_;    // of the open item, JSON without the brackets
  std::string items_;       // that are done, JSON without the brackets
  std::string call_id_;     // of the open call, and its name
  std::string call_name_;
  bool has_message_ = false;
  bool is_truncated_ = false;
};

}  // namespace hachi::api
