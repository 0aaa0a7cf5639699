// POST /v1/completions
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "api/output_format.h"
#include "api/prompts.h"
#include "api/response_parts.h"
#include "api/sampling.h"

namespace hachi::api {

inline constexpr int64_t kDefaultCompletionTokens = 16;  // OpenAI's
inline constexpr int64_t kMaxCompletionChoices = 4096;   // prompts times n

struct CompletionRequest {
  std::string model;
  // Their choices have the indices prompt * n + 0 … n - 1.
  std::vector<Prompt> prompts;
  SamplingFields sampling;
  StreamFields stream;
  ScheduleFields schedule;
  int64_t max_tokens = kDefaultCompletionTokens;  // 0: none, for the logprobs of the prompt
  bool echo = false;                              // the answer begins with the prompt
  std::optional<int64_t> logprobs;                // 0 to kMaxTopLogprobs
  OutputFormat format;
  bool add_special_tokens = true;  // to prompts given as text, as vLLM has it
};

ApiResult<CompletionRequest> parse_completion_request(std::string_view body);

// Tokens of an answer with logprobs. With echo they begin with the prompt's, the first of which
// has has_logprob = false.
struct CompletionLogprobs {
  std::span<const TokenLogprob> tokens;
  int64_t text_offset = 0;  // characters (code points) of the choice's text before the first token
};

struct CompletionChoice {
  int64_t index = 0;
  std::string_view text;
  std::optional<CompletionLogprobs> logprobs;
  std::optional<FinishReason> finish_reason;  // always in a whole answer; in a stream at the end
};

void append_completion_response(std::string& out, const ResponseHead& head,
                                std::span<const CompletionChoice> choices, const Usage& usage);

ChunkHead completion_chunk_head(const ResponseHead& head, bool include_usage);

// One event of a stream, framed. Allocates nothing but out's growth.
void append_completion_chunk(std::string& out, const ChunkHead& head,
                             const CompletionChoice& choice);

}  // namespace hachi::api
