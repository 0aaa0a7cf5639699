#include "server/served_model.h"

#include <utility>

namespace hachi::server {

ServedModel::ServedModel(std::string model_name, ModelParts model_parts,
                         const engine::EngineOptions& options, const std::function<void()>& on_news)
    : name(std::move(model_name)),
      parts(std::move(model_parts)),
      engine(std::move(parts.runners), options, on_news),
      forms(parts.tokenizer, parts.end_ids, engine.vocab_size()),
      metrics(name, engine.context_length()) {}

}  // namespace hachi::server
