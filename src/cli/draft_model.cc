#include "cli/draft_model.h"

#include <algorithm>

#include "cli/gpu.h"
#include "engine/model_runner.h"

namespace hachi::cli {
namespace {

// Long texts of a few requests, or short ones of as many as it guesses for.
constexpr int64_t kMostCacheTokens = 65536;

// Requests for which it guesses at a time.
int64_t most_sequences(const ServeModelOptions& options) {
  return engine::Engine::kMostGuessedRows / (options.engine.guess_tokens + 1);
}

engine::RunnerOptions runner_options(const ServeModelOptions& options) {
  return {.threads = options.model.threads,
          .pinning = options.model.pin ? Pinning::kCores : Pinning::kFree,
          .max_tokens = options.engine.scheduler.step_tokens,
          .max_rows = most_sequences(options),
          .kv_dtype = *dtype_from_name(options.model.kv_type)};
}

}  // namespace

Result<DraftPlan> plan_draft(const ServeModelOptions& options, const model::ModelConfig& large,
                             int64_t context) {
  TRY(const auto checkpoint, open_checkpoint(options.draft));
  TRY(const model::ModelConfig config, model::read_config(*checkpoint, {}));
  if (config.vocab_size != large.vocab_size) {
    return fail(Code::kInvalidArgument,
                "--draft {} has a vocabulary of {} tokens, and the model that it is to guess for "
                "one of {}: take a smaller model of the same family",
                options.draft, config.vocab_size, large.vocab_size);
  }
  DraftPlan plan;
  for (const formats::TensorEntry& tensor : checkpoint->tensors()) {
    plan.weight_bytes += tensor.bytes();
  }
  const engine::RunnerOptions runs = runner_options(options);
  const int64_t longest = std::min(context, config.context_length);
  plan.cache_tokens =
      std::max(longest, std::min(longest * most_sequences(options), kMostCacheTokens));
  plan.kv_cache_bytes = static_cast<uint64_t>(plan.cache_tokens) *
                        static_cast<uint64_t>(config.kv_bytes_per_token(runs.kv_dtype));
  if (choose_gpu(options.model.device)) {
    plan.work_bytes = engine::ModelRunner::gpu_work_bytes(config, runs);
  }
  return plan;
}

Result<OpenedDraft> open_draft(const ServeModelOptions& options, ops::Gpu* gpu) {
  TRY(auto checkpoint, open_checkpoint(options.draft));
  TRY(model::Model model, model::Model::load(checkpoint, {}));
  if (options.model.repack || gpu != nullptr) {
    TRY(repack(model, options.model.threads, gpu));
    if (gpu != nullptr) release_weights(*checkpoint);
  }
  return OpenedDraft{std::move(checkpoint), std::move(model)};
}

Result<std::unique_ptr<engine::StepModel>> make_draft_runner(const OpenedDraft& opened,
                                                             const DraftPlan& plan,
                                                             const ServeModelOptions& options,
                                                             ops::Gpu* gpu) {
  engine::RunnerOptions runs = runner_options(options);
  runs.gpu = gpu;
  runs.cache_tokens = plan.cache_tokens;
  TRY(auto runner, engine::ModelRunner::create(opened.model, runs));
  return runner;
}

}  // namespace hachi::cli
