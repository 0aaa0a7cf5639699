// A model as the subcommands use it: found, opened, with its tokenizer and its chat template.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "chat/chat_template.h"
#include "cli/gpu.h"
#include "core/result.h"
#include "engine/session.h"
#include "formats/checkpoint.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace hachi::cli {

struct ModelOptions {
  std::string model;      // a path, a name in the store, or a synthetic model
  std::string tokenizer;  // a tokenizer.json, or a model with one, in place of the model's own
  int threads = 0;
  bool pin = false;
  int64_t context = 0;
  std::string kv_type = "f16";
  std::string yarn_magnitude = "author";
  bool repack = true;
  bool quiet = false;
  DeviceOptions device;
  model::Shard shard;  // the part of the model that this process runs
};

// MODEL, which every command that opens one has. `required` as for CLI11.
void add_model_argument(CLI::App& app, ModelOptions& options, bool required = true);

// --kv-type, whose value is the name of a DType.
void add_kv_type_option(CLI::App& app, std::string& kv_type);

// --threads, --pin, --context, --tokenizer, --kv-type, --yarn-magnitude, --device, --gpu-memory,
// --deterministic, --quiet.
void add_engine_options(CLI::App& app, ModelOptions& options);

// One model is at work in a process.
struct LoadedModel {
  std::string name;  // as the user gave it
  std::shared_ptr<const formats::Checkpoint> checkpoint;
  tokenizer::Tokenizer tokenizer;
  std::shared_ptr<ops::Gpu> gpu;  // where the weights are; null: in the processor's memory
  model::Model model;
};

// Of a path, a name in the store, or "synthetic:SHAPE:TYPE" (model/synthetic.h).
Result<std::shared_ptr<const formats::Checkpoint>> open_checkpoint(const std::string& model);
model::ConfigOptions config_options(const ModelOptions& options);

// What ends an answer: as the model says or, if it has no word on it, the tokenizer.
std::vector<int32_t> end_tokens(const model::ModelConfig& config,
                                const tokenizer::Tokenizer& tokenizer);

// Model::repack() for the GPU, or without one for the processor, with so many threads; 0: as many
// as this process may use.
Result<void> repack(model::Model& model, int threads, ops::Gpu* gpu);

// Once a GPU has the weights: their pages leave the process's memory. Files' come back if they are
// read after all, those of synthetic models as zeros.
void release_weights(const formats::Checkpoint& checkpoint);

// Repacked unless the options say otherwise, and on a GPU always. Also checks that the model has
// the rows that the tokenizer needs.
Result<LoadedModel> load_model(const ModelOptions& options);

// Where it runs, for people: "2 threads", or the GPU's name.
std::string place_of(const LoadedModel& loaded, const engine::Session& session);

Result<engine::Session> make_session(const LoadedModel& loaded, const ModelOptions& options);

}  // namespace hachi::cli
