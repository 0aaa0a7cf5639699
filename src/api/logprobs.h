// Logprobs in OpenAI's two shapes.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "api/response_parts.h"

namespace hachi::api {

// {"content": [{"token", "logprob", "bytes", "top_logprobs"}]}: chat. A token that is no whole
// UTF-8 text is written as "\xe2\x80", OpenAI's way; `bytes` has it exactly.
void append_chat_logprobs(std::string& out, std::span<const TokenLogprob> tokens);

// The elements of that list, without the brackets: responses.
void append_logprob_items(std::string& out, std::span<const TokenLogprob> tokens);

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}: completions, with offsets in code
// points from `text_offset` on. top_logprobs always has the token itself, so it may have one more
// than were asked for; a token that is no whole text is "bytes:\xe2\x80".
void append_completion_logprobs(std::string& out, std::span<const TokenLogprob> tokens,
                                int64_t text_offset);

}  // namespace hachi::api
