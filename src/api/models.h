// GET /v1/models and /v1/models/{id}
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace hachi::api {

struct ModelCard {
  std::string id;
  int64_t created = 0;        // seconds since 1970
  int64_t max_model_len = 0;  // tokens of the context: vLLM's name; 0: not known yet, left out
};

void append_model(std::string& out, const ModelCard& model);
void append_model_list(std::string& out, std::span<const ModelCard> models);

}  // namespace hachi::api
