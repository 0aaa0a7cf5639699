// The models of `hachi serve`: found at the start, opened when they are asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/loaded_model.h"
#include "core/result.h"
#include "engine/engine.h"
#include "engine/rank_group.h"
#include "server/model_pool.h"

namespace hachi::cli {

// What all of them run with.
struct ServeModelOptions {
  ModelOptions model;                  // without the name
  uint64_t kv_cache_bytes = 0;         // for the KV cache of a model; 0: as kv_cache_bytes_for says
  uint64_t host_cache_bytes = 0;       // of the processor's memory, for pages of that cache
  engine::EngineOptions engine;        // with the context that a request may have
  std::string chat_template;           // in place of the models' own; empty: theirs
  std::string draft;                   // a model that guesses for each of them; empty: none
  int replicas = 1;                    // copies of each model, with both caches each
  int tensor_parallel = 1;             // processes that a model is divided among
  engine::RankGroup* group = nullptr;  // those; null: one
};

struct ServedName {
  std::string name;   // as requests name it
  std::string model;  // as hachi opens it
};

// "MODEL" or "NAME=MODEL"; without a name, that of the store, or of the file or folder.
ServedName parse_served_name(const std::string& text);

// The budget of thinking of each of `names`: `of_all`, but where `of_models` has "NAME=N" for it,
// N. Fails on what is no such text, on a name that is none of them, and on one that is named twice.
Result<std::vector<int64_t>> thinking_budgets(const std::vector<ServedName>& names, int64_t of_all,
                                              const std::vector<std::string>& of_models);

// What a model will take, from its file and its config alone.
struct ModelPlan {
  std::string device;  // where it will run, for people
  uint64_t weight_bytes = 0;
  uint64_t kv_cache_bytes = 0;
  uint64_t work_bytes = 0;   // on a GPU: for all else
  int64_t cache_tokens = 0;  // that the KV cache holds, of all requests together
  int64_t host_pages = 0;    // of the processor's memory, for pages of the KV cache, for each copy
  uint64_t host_cache_bytes = 0;
  bool on_gpu = false;
  int64_t context = 0;  // of a request

  // Of the memory in which the model lies: the GPU's, or the processor's.
  uint64_t memory_bytes() const {
    return weight_bytes + kv_cache_bytes + work_bytes + (on_gpu ? 0 : host_cache_bytes);
  }
};

// Fails as opening the model would, but reads none of its weights.
Result<ModelPlan> plan_model(const std::string& model, const ServeModelOptions& options);

// Opens it, repacks it, and allocates its KV cache: smaller than planned if the weights took more
// of the GPU's memory than of the file.
Result<server::ModelParts> open_served_model(const std::string& model, const ModelPlan& plan,
                                             const ServeModelOptions& options);

// On another rank than the first, whose open_served_model() waits for it: opens its part of the
// model and runs it until the first has ended.
Result<void> follow_served_model(const std::string& model, const ModelPlan& plan,
                                 const ServeModelOptions& options);

}  // namespace hachi::cli
