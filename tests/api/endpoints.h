// The parse functions of all endpoints behind one signature, for tests over all of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/anthropic_messages.h"
#include "api/batches.h"
#include "api/chat_completions.h"
#include "api/completions.h"
#include "api/embeddings.h"
#include "api/responses.h"
#include "api/tokenize.h"

namespace hachi::api {

struct Endpoint {
  std::string_view name;
  std::string_view base;  // the members of the smallest request that is accepted
  std::optional<ApiError> (*error_of)(std::string_view body);  // null: accepted
};

template <auto parse>
std::optional<ApiError> error_of(std::string_view body) {
  const auto parsed = parse(body);
  if (parsed) return std::nullopt;
  return parsed.error();
}

inline constexpr Endpoint kEndpoints[] = {
    {"chat", R"("model":"m","messages":[{"role":"user","content":"Hi"}])",
     error_of<parse_chat_request>},
    {"completions", R"("model":"m","prompt":"Hi")", error_of<parse_completion_request>},
    {"embeddings", R"("model":"m","input":"Hi")", error_of<parse_embedding_request>},
    {"responses", R"("model":"m","input":"Hi")", error_of<parse_responses_request>},
    {"messages", R"("model":"m","max_tokens":64,"messages":[{"role":"user","content":"Hi"}])",
     error_of<parse_messages_request>},
    {"count_tokens", R"("model":"m","messages":[{"role":"user","content":"Hi"}])",
     error_of<parse_count_tokens_request>},
    {"tokenize", R"("prompt":"Hi")", error_of<parse_tokenize_request>},
    {"detokenize", R"("tokens":[1])", error_of<parse_detokenize_request>},
    {"batch", R"("input_file_id":"file-1","endpoint":"/v1/embeddings","completion_window":"24h")",
     error_of<parse_batch_request>},
    {"batch_line", R"("custom_id":"a","method":"POST","url":"/v1/embeddings","body":{})",
     error_of<parse_batch_line>},
};

}  // namespace hachi::api
