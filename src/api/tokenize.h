// POST /tokenize and /detokenize, GET /tokenizer_info, with vLLM's field names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "api/messages.h"
#include "api/tools.h"

namespace hachi::api {

// Either a prompt or a conversation, which the template turns into one.
struct TokenizeRequest {
  std::string model;     // empty: the only one that is served
  bool is_chat = false;  // true: all but prompt count; false: prompt
  std::string prompt;
  json::array messages;  // as read_messages gives them
  TemplateFields prompt_fields;
  ToolFields tools;
  bool add_special_tokens = true;  // false for a conversation: the template writes them
  bool return_token_strs = false;
};

ApiResult<TokenizeRequest> parse_tokenize_request(std::string_view body);

// token_strs: one for each token, or empty to leave them out; bytes that are no UTF-8 are replaced.
void append_tokenize_response(std::string& out, std::span<const int32_t> tokens,
                              std::span<const std::string> token_strs, int64_t max_model_len);

struct DetokenizeRequest {
  std::string model;  // empty: the only one that is served
  std::vector<int32_t> tokens;
};

ApiResult<DetokenizeRequest> parse_detokenize_request(std::string_view body);

void append_detokenize_response(std::string& out, std::string_view prompt);

// The texts of the tokens that begin and end a text; empty: there is none.
void append_tokenizer_info(std::string& out, std::string_view bos_token, std::string_view eos_token,
                           int64_t max_model_len);

}  // namespace hachi::api
