// POST /v1/chat/completions
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

struct ChatRequest {
  std::string model;
  json::array messages;  // as read_messages gives them
  SamplingFields sampling;
  StreamFields stream;
  ScheduleFields schedule;
  TemplateFields prompt;
  std::optional<int64_t> max_tokens;  // at least 1; not set: as many as the context holds
  bool logprobs = false;
  int64_t top_logprobs = 0;       // 0 to kMaxTopLogprobs; only with logprobs
  bool include_reasoning = true;  // false: the thoughts are left out of the answer
  // none, minimal, low, medium, high, xhigh or max; empty: not given. "none" also sets
  // prompt.enable_thinking to false where the request does not say otherwise.
  std::string reasoning_effort;
};

ApiResult<ChatRequest> parse_chat_request(std::string_view body);

// Thoughts go out as `reasoning_content`: the name of DeepSeek, SGLang and llama.cpp, which most
// clients that know vLLM's newer `reasoning` read too. A request may use either.
struct ChatChoice {
  int64_t index = 0;
  std::string_view content;
  std::string_view reasoning;  // empty: the field is left out
  std::optional<std::span<const TokenLogprob>> logprobs;
  FinishReason finish_reason = FinishReason::kStop;
};

// The whole answer, as one JSON object.
void append_chat_response(std::string& out, const ResponseHead& head,
                          std::span<const ChatChoice> choices, const Usage& usage);

// What a chunk adds to one choice. Empty texts are left out.
struct ChatDelta {
  int64_t index = 0;
  bool role = false;  // the first chunk of a choice: "role":"assistant","content":""
  std::string_view content;
  std::string_view reasoning;
  std::optional<std::span<const TokenLogprob>> logprobs;
  std::optional<FinishReason> finish_reason;  // in the last chunk of a choice
};

ChunkHead chat_chunk_head(const ResponseHead& head, bool include_usage);

// One event of a stream, framed. Allocates nothing but out's growth.
void append_chat_chunk(std::string& out, const ChunkHead& head, const ChatDelta& delta);

}  // namespace hachi::api
