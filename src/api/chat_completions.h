// POST /v1/chat/completions
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

// What the thoughts of an answer are called. A request may use either name in its messages.
enum class ReasoningName {
  kReasoningContent,  // DeepSeek's, SGLang's and llama.cpp's
  kReasoning,         // vLLM's newer one and OpenRouter's
};

struct ChatRequest {
  std::string model;
  json::array messages;  // as read_messages gives them
  SamplingFields sampling;
  StreamFields stream;
  ScheduleFields schedule;
  TemplateFields prompt;
  std::optional<int64_t> max_tokens;  // at least 1; not set: as many as the context holds
  bool logprobs = false;
  int64_t top_logprobs = 0;   // 0 to kMaxTopLogprobs; only with logprobs
  ReasoningFields reasoning;  // prompt.enable_thinking is its `enable`
  ReasoningName reasoning_name = ReasoningName::kReasoningContent;  // `reasoning_field`
  OutputFormat format;
  ToolFields tools;
};

ApiResult<ChatRequest> parse_chat_request(std::string_view body);

struct ChatChoice {
  int64_t index = 0;
  std::string_view content;    // empty beside calls: null
  std::string_view reasoning;  // empty: the field is left out
  ReasoningName reasoning_name = ReasoningName::kReasoningContent;
  bool reasoning_truncated = false;  // the budget for thoughts was spent: a member says so
  std::span<const ToolCall> tool_calls;
  std::optional<std::span<const TokenLogprob>> logprobs;
  FinishReason finish_reason = FinishReason::kStop;
};

// The whole answer, as one JSON object.
void append_chat_response(std::string& out, const ResponseHead& head,
                          std::span<const ChatChoice> choices, const Usage& usage);

// A piece of a call. The first one of a call has its id, name and whatever arguments there are yet;
// the others have arguments alone.
struct ToolCallDelta {
  int64_t index = 0;  // of the call among those of its choice
  std::string_view id;
  std::string_view name;
  std::string_view arguments;
};

// What a chunk adds to one choice. Empty texts are left out.
struct ChatDelta {
  int64_t index = 0;
  bool role = false;  // the first chunk of a choice: "role":"assistant","content":""
  std::string_view content;
  std::string_view reasoning;
  ReasoningName reasoning_name = ReasoningName::kReasoningContent;
  bool reasoning_truncated = false;  // as in ChatChoice; in the last chunk of a choice
  std::optional<ToolCallDelta> tool_call;
  std::optional<std::span<const TokenLogprob>> logprobs;
  std::optional<FinishReason> finish_reason;  // in the last chunk of a choice
};

ChunkHead chat_chunk_head(const ResponseHead& head, bool include_usage);

// One event of a stream, framed. Allocates nothing but out's growth.
void append_chat_chunk(std::string& out, const ChunkHead& head, const ChatDelta& delta);

}  // namespace hachi::api
