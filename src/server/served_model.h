// ServedModel: a model that answers: its engines, and what turns text into its tokens and back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/prompter.h"
#include "core/result.h"
#include "engine/replicas.h"
#include "model/config.h"
#include "output/answer_form.h"
#include "server/metrics.h"
#include "tokenizer/tokenizer.h"

namespace hachi::server {

// What a model brings along. The server does not ask where it is from.
struct ModelParts {
  tokenizer::Tokenizer tokenizer;
  std::optional<chat::Prompter> prompter;  // none: it has no chat template
  model::SamplingDefaults sampling;
  std::vector<int32_t> end_ids;  // end an answer
  // Of conversations whose requests say nothing else: tokens of thinking, and whether the system
  // message becomes a part of the user's.
  int64_t thinking_budget = output::kNoBudget;
  bool system_in_user = false;
  std::shared_ptr<const void> weights;                      // what `runners` read
  std::vector<std::unique_ptr<engine::StepModel>> runners;  // copies of the model, one at least
};

// Opens a model by its name; may take long, and is called on a thread of its own.
using ModelLoader = std::function<Result<ModelParts>(const std::string& name)>;

struct ServedModel {
  ServedModel(std::string model_name, ModelParts model_parts, const engine::EngineOptions& options,
              const std::function<void()>& on_news);

  std::string name;
  ModelParts parts;  // without the runners, which the engines have
  engine::Replicas engine;
  output::FormTables forms;
  ModelMetrics metrics;
};

}  // namespace hachi::server
