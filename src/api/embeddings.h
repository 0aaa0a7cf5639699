// POST /v1/embeddings
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "api/prompts.h"

namespace hachi::api {

struct EmbeddingRequest {
  std::string model;
  std::vector<Prompt> input;          // none of the texts is empty
  bool base64 = false;                // encoding_format: little-endian floats
  std::optional<int64_t> dimensions;  // at least 1: the first so many, at length 1 again
};

ApiResult<EmbeddingRequest> parse_embedding_request(std::string_view body);

// One embedding for each input, in their order. Every number is finite.
void append_embedding_response(std::string& out, std::string_view model,
                               std::span<const std::vector<float>> embeddings, bool base64,
                               int64_t prompt_tokens);

}  // namespace hachi::api
