#include "cli/loaded_model.h"

#include "cli/store.h"
#include "cli/terminal.h"
#include "core/files.h"
#include "model/synthetic.h"

namespace hachi::cli {
namespace {

Result<tokenizer::Tokenizer> load_tokenizer(const ModelOptions& options,
                                            const formats::Checkpoint& checkpoint) {
  if (!options.tokenizer.empty()) return tokenizer::Tokenizer::open(options.tokenizer);
  auto own = tokenizer::Tokenizer::load(checkpoint);
  if (own || own.error().code != Code::kNotFound) return own;
  return fail(Code::kNotFound, "{}: {}; --tokenizer can name one", options.model,
              own.error().message);
}

}  // namespace

void add_model_argument(CLI::App& app, ModelOptions& options, bool required) {
  app.add_option("MODEL", options.model,
                 "A .gguf file, a Hugging Face folder, or a name in the store (see hachi list)")
      ->required(required)
      ->type_name("MODEL");
}

void add_kv_type_option(CLI::App& app, std::string& kv_type) {
  app.add_option("--kv-type", kv_type, "Type of the KV cache")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "f8_e4m3"}))
      ->capture_default_str();
}

void add_engine_options(CLI::App& app, ModelOptions& options) {
  app.add_option("--threads", options.threads, "Threads to compute with (default: all allowed)")
      ->check(CLI::Range(1, 1024).description(""))
      ->type_name("N");
  app.add_flag("--pin", options.pin, "Keep each thread on a core of its own");
  app.add_option("--context", options.context,
                 fmt::format("Tokens that fit (default: the model's own, up to {})",
                             engine::kDefaultContext))
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30).description(""))
      ->type_name("N");
  app.add_option("--tokenizer", options.tokenizer,
                 "Take the tokenizer of this tokenizer.json, folder or GGUF file, not the model's")
      ->type_name("PATH");
  add_kv_type_option(app, options.kv_type);
  add_device_options(app, options.device);
  app.add_option("--yarn-magnitude", options.yarn_magnitude,
                 "Whether YaRN scales attention as the model's author or as Transformers does")
      ->check(CLI::IsMember({"author", "transformers"}))
      ->capture_default_str();
  app.add_flag("--quiet,-q", options.quiet, "No progress and no closing words");
}

Result<std::shared_ptr<const formats::Checkpoint>> open_checkpoint(const std::string& model) {
  if (model.rfind(model::kSyntheticPrefix, 0) == 0) {
    TRY(auto made, model::synthetic_checkpoint(model));
    return std::make_shared<const formats::Checkpoint>(std::move(made));
  }
  TRY(const ModelStore store, ModelStore::open());
  TRY(const auto path, store.resolve(model));
  TRY(auto checkpoint, formats::Checkpoint::open(path));
  return std::make_shared<const formats::Checkpoint>(std::move(checkpoint));
}

model::ConfigOptions config_options(const ModelOptions& options) {
  return {.yarn_magnitude = options.yarn_magnitude == "transformers"
                                ? model::YarnMagnitude::kTransformers
                                : model::YarnMagnitude::kAuthor,
          .context = options.context};
}

std::vector<int32_t> end_tokens(const model::ModelConfig& config,
                                const tokenizer::Tokenizer& tokenizer) {
  if (!config.eos_ids.empty() || !tokenizer.eos()) return config.eos_ids;
  return {*tokenizer.eos()};
}

Result<void> repack(model::Model& model, int threads, ops::Gpu* gpu) {
  ThreadPool pool(threads > 0 ? threads : usable_cpus());
  ops::Context ctx{.pool = &pool};
  if (gpu != nullptr) ctx.device = ops::Device::kCuda;
  ctx.gpu = gpu;
  return model.repack(ctx);
}

void release_weights(const formats::Checkpoint& checkpoint) {
  for (const formats::TensorEntry& tensor : checkpoint.tensors()) {
    const std::byte* bytes = tensor.panels != nullptr ? tensor.panels : tensor.data.data();
    release_pages({bytes, tensor.bytes()});
  }
}

Result<LoadedModel> load_model(const ModelOptions& options) {
  TRY(auto checkpoint, open_checkpoint(options.model));
  TRY(tokenizer::Tokenizer tokenizer, load_tokenizer(options, *checkpoint));
  TRY(std::shared_ptr<ops::Gpu> gpu, open_gpu(options.device));  // outlives the model on it
  TRY(model::Model model, model::Model::load(checkpoint, config_options(options), options.shard));
  if (tokenizer.rows_needed() > model.config().vocab_size) {
    return fail(Code::kCorrupt, "{}: the tokenizer has {} tokens and the model only {}",
                checkpoint->path().string(), tokenizer.vocab_size(), model.config().vocab_size);
  }
  if (options.repack || gpu != nullptr) {
    TRY(repack(model, options.threads, gpu.get()));
    if (gpu != nullptr) release_weights(*checkpoint);
  }
  return LoadedModel{options.model, std::move(checkpoint), std::move(tokenizer), std::move(gpu),
                     std::move(model)};
}

std::string place_of(const LoadedModel& loaded, const engine::Session& session) {
  if (loaded.gpu != nullptr) return printable(loaded.gpu->info().name);
  return fmt::format("{} thread{}", session.threads(), session.threads() == 1 ? "" : "s");
}

Result<engine::Session> make_session(const LoadedModel& loaded, const ModelOptions& options) {
  return engine::Session::create(loaded.model,
                                 {.threads = options.threads,
                                  .pinning = options.pin ? Pinning::kCores : Pinning::kFree,
                                  .context = options.context,
                                  .kv_dtype = *dtype_from_name(options.kv_type),
                                  .gpu = loaded.gpu.get()});
}

}  // namespace hachi::cli
