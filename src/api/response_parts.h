// What the answers of several endpoints have in common.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hachi::api {

struct ResponseHead {
  std::string id;       // "chatcmpl-…", as the server makes it
  int64_t created = 0;  // seconds since 1970
  std::string model;
};

// Why an answer ended. A deadline that the server set is kLength: the answer was cut, and the
// clients' types know no other word for that. One that was cancelled has no reader.
enum class FinishReason {
  kStop,       // an end token or a stop text
  kLength,     // max_tokens, the context's end or a deadline
  kToolCalls,  // the model waits for what its calls give
};

// "stop", "length" or "tool_calls"
std::string_view to_string(FinishReason reason);

// A call of a tool, whole. The views are the caller's and outlive the call.
struct ToolCall {
  std::string_view id;         // of this call, unlike all others of the conversation
  std::string_view name;       // of the tool
  std::string_view arguments;  // a JSON object as the model wrote it; broken off with the answer
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;     // of the prompt
  int64_t reasoning_tokens = 0;  // of the completion
};

struct TopLogprob {
  std::string_view token;  // the token's bytes, which need not be whole characters
  float logprob = 0;       // natural logarithm; what is below -9999, or no number, is written -9999
};

// One token with its logprob. The views are the caller's and outlive the call.
struct TokenLogprob {
  std::string_view token;
  float logprob = 0;
  std::span<const TopLogprob> top;
  bool has_logprob = true;  // false for the first token of a prompt that is echoed
};

// {"prompt_tokens", …, "prompt_tokens_details": {"cached_tokens"}, "completion_tokens_details":
// {"reasoning_tokens"}}
void append_usage(std::string& out, const Usage& usage);

// What all chunks of a stream have in common, rendered once.
struct ChunkHead {
  std::string begin;  // `data: {"id":…,"model":…,"choices":[`
  std::string end;    // `]}` or `],"usage":null}` and the end of the event
};

// include_usage: each chunk has "usage":null, as OpenAI's do when a last one with it follows.
ChunkHead chunk_head(const ResponseHead& head, std::string_view object, bool include_usage);

// The chunk with no choices that follows the others of a stream with include_usage.
void append_usage_chunk(std::string& out, const ChunkHead& head, const Usage& usage);

// The end of a stream of chat or completion chunks.
void append_done(std::string& out);

}  // namespace hachi::api
