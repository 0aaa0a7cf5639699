#include "cli/serve_models.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/draft_model.h"
#include "cli/form_options.h"
#include "cli/store.h"
#include "core/memory.h"
#include "engine/model_runner.h"
#include "engine/tensor_parallel.h"
#include "output/automaton.h"

namespace hachi::cli {
namespace {

constexpr int64_t kMaxLogitRows = 256;

// A quarter of the memory that the weights leave, for as many tokens as all requests could have,
// and in any case for one request of the whole context.
uint64_t default_kv_cache_bytes(uint64_t weights, uint64_t bytes_per_token, int64_t context,
                                int64_t max_sequences) {
  const uint64_t available = available_memory();
  const uint64_t left = available - std::min(available, weights);
  const uint64_t one = bytes_per_token * static_cast<uint64_t>(context);
  return std::clamp(left / 4, one, std::max(one, one * static_cast<uint64_t>(max_sequences)));
}

engine::RunnerOptions runner_options(const ServeModelOptions& options) {
  const engine::SchedulerOptions& scheduler = options.engine.scheduler;
  return {.threads = options.model.threads,
          .pinning = options.model.pin ? Pinning::kCores : Pinning::kFree,
          .max_tokens = scheduler.step_tokens,
          .max_rows = std::max(options.engine.guess_tokens + 1,
                               std::min(scheduler.max_sequences, kMaxLogitRows)),
          .kv_dtype = *dtype_from_name(options.model.kv_type)};
}

// N of "NAME=N".
std::optional<int64_t> budget_of(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == text.npos) return std::nullopt;
  const char* const end = text.data() + text.size();
  int64_t budget = 0;
  const auto read = std::from_chars(text.data() + equals + 1, end, budget);
  const bool is_number = read.ec == std::errc() && read.ptr == end;
  if (!is_number || budget < output::kNoBudget || budget > kMaxThinkingBudget) return std::nullopt;
  return budget;
}

struct Opened {
  std::shared_ptr<const formats::Checkpoint> checkpoint;
  std::shared_ptr<ops::Gpu> gpu;
  std::unique_ptr<ops::Collective> collective;  // of a model that is a rank's part
  model::Model model;
  std::optional<OpenedDraft> draft;
};

}  // namespace

ServedName parse_served_name(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals != std::string::npos && equals > 0 && !std::filesystem::exists(text)) {
    return {text.substr(0, equals), text.substr(equals + 1)};
  }
  const std::filesystem::path path(text);
  std::filesystem::path last =
      path.has_filename() ? path.filename() : path.parent_path().filename();
  if (last.extension() == ".gguf") last = last.stem();
  return {last.string(), text};
}

Result<std::vector<int64_t>> thinking_budgets(const std::vector<ServedName>& names, int64_t of_all,
                                              const std::vector<std::string>& of_models) {
  std::vector<std::optional<int64_t>> own(names.size());
  for (const std::string& text : of_models) {
    const auto budget = budget_of(text);
    if (!budget) {
      return fail(Code::kInvalidArgument,
                  "--model-think-budget must be NAME=N with N from -1 (no limit) to {}, got '{}'",
                  kMaxThinkingBudget, text);
    }
    const std::string_view name = std::string_view(text).substr(0, text.rfind('='));
    size_t place = 0;
    while (place < names.size() && names[place].name != name) ++place;
    if (place == names.size()) {
      return fail(Code::kInvalidArgument, "--model-think-budget: no model is served as '{}'", name);
    }
    if (own[place]) {
      return fail(Code::kInvalidArgument, "--model-think-budget gives '{}' two budgets", name);
    }
    own[place] = budget;
  }
  std::vector<int64_t> budgets;
  budgets.reserve(own.size());
  for (const auto& one : own) budgets.push_back(one.value_or(of_all));
  return budgets;
}

namespace {

// On a GPU the cache gets what the weights leave.
uint64_t kv_cache_bytes(const ModelPlan& plan, const ServeModelOptions& options,
                        const std::optional<ChosenGpu>& gpu, uint64_t per_token) {
  if (options.kv_cache_bytes > 0) return options.kv_cache_bytes;
  if (gpu) {
    return gpu->usable_bytes - std::min(gpu->usable_bytes, plan.weight_bytes + plan.work_bytes);
  }
  return default_kv_cache_bytes(plan.weight_bytes, per_token, plan.context,
                                options.engine.scheduler.max_sequences);
}

Result<void> check_fits(const std::string& model, const ModelPlan& plan,
                        const std::optional<ChosenGpu>& gpu, uint64_t per_token) {
  if (plan.cache_tokens >= plan.context) return {};
  if (gpu) {
    return fail(Code::kLimit,
                "{}: {} of weights, {} of work and {} for one context of {} tokens do not fit into "
                "the {} of the GPU that may be used: lower --context or --step-tokens, or take a "
                "smaller --kv-type or smaller weights",
                model, human_bytes(plan.weight_bytes), human_bytes(plan.work_bytes),
                human_bytes(per_token * static_cast<uint64_t>(plan.context)), plan.context,
                human_bytes(gpu->usable_bytes));
  }
  return fail(Code::kInvalidArgument,
              "{}: a KV cache of {} bytes holds {} tokens, less than the context of {}: raise "
              "--kv-cache or lower --context",
              model, plan.kv_cache_bytes, plan.cache_tokens, plan.context);
}

// Of a cache that takes what the weights have left indeed.
int64_t tokens_that_fit(const ops::Gpu& gpu, const model::ModelConfig& config,
                        const engine::RunnerOptions& options) {
  const uint64_t taken = gpu.memory_used() + engine::ModelRunner::gpu_work_bytes(config, options);
  const uint64_t left = gpu.memory_limit() - std::min(gpu.memory_limit(), taken);
  const auto per_token = static_cast<uint64_t>(config.kv_bytes_per_token(options.kv_dtype));
  return static_cast<int64_t>(left / per_token);
}

}  // namespace

Result<ModelPlan> plan_model(const std::string& model, const ServeModelOptions& options) {
  TRY(const auto checkpoint, open_checkpoint(model));
  TRY(const model::ModelConfig whole,
      model::read_config(*checkpoint, config_options(options.model)));
  TRY(const model::ModelConfig config, model::shard_config(whole, options.tensor_parallel));
  ModelPlan plan;
  for (const formats::TensorEntry& tensor : checkpoint->tensors()) {
    plan.weight_bytes += tensor.bytes() / static_cast<uint64_t>(options.tensor_parallel);
  }
  const int64_t asked = options.model.context;
  if (asked > config.context_length) {
    return fail(Code::kInvalidArgument,
                "{}: the context must be at most the model's {} tokens, got {}", model,
                config.context_length, asked);
  }
  plan.context = asked > 0 ? asked : std::min(config.context_length, engine::kDefaultContext);
  const DType kv_type = *dtype_from_name(options.model.kv_type);
  const auto per_token = static_cast<uint64_t>(config.kv_bytes_per_token(kv_type));
  const std::optional<ChosenGpu> gpu = choose_gpu(options.model.device);
  plan.device = gpu ? gpu->info.name : "the processor";
  plan.on_gpu = gpu.has_value();
  if (gpu) {
    plan.work_bytes = engine::ModelRunner::gpu_work_bytes(config, runner_options(options));
  }
  if (!options.draft.empty()) {
    TRY(const DraftPlan draft, plan_draft(options, config, plan.context));
    plan.weight_bytes += draft.weight_bytes;
    plan.work_bytes += draft.work_bytes + draft.kv_cache_bytes;
  }
  plan.kv_cache_bytes = kv_cache_bytes(plan, options, gpu, per_token);
  plan.cache_tokens = static_cast<int64_t>(plan.kv_cache_bytes / per_token);
  const uint64_t page_bytes = per_token * static_cast<uint64_t>(model::KvCache::kPageTokens);
  plan.host_pages = static_cast<int64_t>(options.host_cache_bytes / page_bytes);
  plan.host_cache_bytes = static_cast<uint64_t>(plan.host_pages) * page_bytes;
  TRY(check_fits(model, plan, gpu, per_token));
  return plan;
}

namespace {

// `own`: those of this copy.
Result<std::unique_ptr<const Opened>> open_weights(const std::string& model, ModelOptions own,
                                                   const ServeModelOptions& options,
                                                   std::optional<tokenizer::Tokenizer>& tokenizer) {
  own.model = model;
  TRY(LoadedModel loaded, load_model(own));
  if (!tokenizer) tokenizer = std::move(loaded.tokenizer);
  auto opened = std::make_unique<Opened>();
  opened->checkpoint = std::move(loaded.checkpoint);
  opened->gpu = std::move(loaded.gpu);
  opened->model = std::move(loaded.model);
  if (options.group != nullptr) {
    TRY(opened->collective, engine::make_collective(*options.group, opened->gpu.get()));
  }
  if (!options.draft.empty()) {
    TRY(opened->draft, open_draft(options, opened->gpu.get()));
  }
  return opened;
}

Result<std::unique_ptr<engine::ModelRunner>> make_runner(const Opened& opened,
                                                         const ModelPlan& plan,
                                                         const ServeModelOptions& options) {
  engine::RunnerOptions runs = runner_options(options);
  runs.gpu = opened.gpu.get();
  runs.collective = opened.collective.get();
  runs.cache_tokens = plan.cache_tokens;
  runs.host_pages = plan.host_pages;
  std::unique_ptr<engine::StepModel> draft;
  if (opened.draft) {
    TRY(const DraftPlan draft_plan, plan_draft(options, opened.model.config(), plan.context));
    TRY(draft, make_draft_runner(*opened.draft, draft_plan, options, runs.gpu));
  }
  if (runs.gpu != nullptr && options.kv_cache_bytes == 0) {
    const int64_t most = tokens_that_fit(*runs.gpu, opened.model.config(), runs);
    runs.cache_tokens = std::max(std::min(runs.cache_tokens, most), plan.context);
  }
  // A page has the same number everywhere.
  if (options.group != nullptr) {
    TRY(engine::check_alike(*options.group, opened.model.config(), runs));
    runs.cache_tokens = options.group->least(runs.cache_tokens);
    runs.host_pages = options.group->least(runs.host_pages);
  }
  TRY(auto runner, engine::ModelRunner::create(opened.model, runs));
  runner->set_draft(std::move(draft));
  return runner;
}

}  // namespace

Result<server::ModelParts> open_served_model(const std::string& model, const ModelPlan& plan,
                                             const ServeModelOptions& options) {
  // Copies on the processor have the weights in common.
  auto opened = std::make_shared<std::vector<std::unique_ptr<const Opened>>>();
  std::optional<tokenizer::Tokenizer> tokenizer;
  std::vector<std::unique_ptr<engine::StepModel>> runners;
  for (int i = 0; i < options.replicas; ++i) {
    if (i == 0 || opened->front()->gpu != nullptr) {
      ModelOptions own = options.model;
      own.device = device_of_copy(options.model.device, i);
      TRY(auto one, open_weights(model, own, options, tokenizer));
      opened->push_back(std::move(one));
    }
    TRY(auto runner, make_runner(*opened->back(), plan, options));
    if (options.group != nullptr) {
      runners.push_back(std::make_unique<engine::LeadingModel>(*options.group, std::move(runner)));
    } else {
      runners.push_back(std::move(runner));
    }
  }
  const model::ModelConfig& config = opened->front()->model.config();
  auto end_ids = end_tokens(config, *tokenizer);
  server::ModelParts parts{.tokenizer = *std::move(tokenizer),
                           .sampling = config.sampling,
                           .end_ids = std::move(end_ids),
                           .runners = std::move(runners)};
  auto prompter =
      chat::Prompter::open(*opened->front()->checkpoint, parts.tokenizer, options.chat_template);
  if (prompter) {
    parts.prompter = *std::move(prompter);
  } else if (!options.chat_template.empty()) {
    return tl::unexpected<Error>(std::move(prompter).error());
  }  // without a template of its own, a model still serves completions
  parts.weights = std::move(opened);
  return parts;
}

Result<void> follow_served_model(const std::string& model, const ModelPlan& plan,
                                 const ServeModelOptions& options) {
  std::optional<tokenizer::Tokenizer> tokenizer;
  TRY(const auto opened, open_weights(model, options.model, options, tokenizer));
  TRY(const auto runner, make_runner(*opened, plan, options));
  TRY(engine::follow(*options.group, *runner));
  options.group->wait_for_end();
  return {};
}

}  // namespace hachi::cli
