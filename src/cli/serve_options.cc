#include "cli/serve_options.h"

#include <filesystem>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/form_options.h"
#include "cli/gpu.h"
#include "cli/ranks.h"
#include "cli/store.h"
#include "core/memory.h"

namespace hachi::cli {
namespace {

using std::chrono::seconds;

// What a step takes. A GPU reads its weights once for all tokens of a step, so few more cost
// nothing: 4,096 take a Hopper a tenth of a second, and 512 hold answers up for a hundredth.
struct StepSizes {
  int64_t max_batch, step_tokens, prompt_tokens;
};
constexpr StepSizes kProcessorSteps = {64, 256, 64};
constexpr StepSizes kGpuSteps = {256, 4096, 512};

std::string by_device(std::string_view text, int64_t StepSizes::*size) {
  return fmt::format("{} (default: {}, on a GPU {})", text, kProcessorSteps.*size, kGpuSteps.*size);
}

void add_engine_group(CLI::App& app, ServeOptions& options) {
  engine::EngineOptions& engine = options.shared.engine;
  auto* group = app.add_option_group("Engine");
  group
      ->add_option("--max-batch", options.max_batch,
                   by_device("Requests that run at once", &StepSizes::max_batch))
      ->check(CLI::Range(1, 4096).description(""))
      ->type_name("N");
  group->add_option("--max-waiting", engine.max_waiting, "Requests that may wait beyond those")
      ->check(CLI::Range(0, 1 << 20).description(""))
      ->type_name("N")
      ->capture_default_str();
  group
      ->add_option("--step-tokens", options.step_tokens,
                   by_device("Tokens of one step at most", &StepSizes::step_tokens))
      ->check(CLI::Range(1, 1 << 16).description(""))
      ->type_name("N");
  group
      ->add_option(
          "--prompt-tokens", options.prompt_tokens,
          by_device("Tokens of prompts at most in a step in which others get their next token",
                    &StepSizes::prompt_tokens))
      ->check(CLI::Range(1, 1 << 16).description(""))
      ->type_name("N");
  group
      ->add_option("--kv-cache", options.shared.kv_cache_bytes,
                   "Memory for the KV cache of a model (default: a quarter of what is free)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  group
      ->add_option("--host-cache", options.host_cache_bytes,
                   "Memory of the processor, for each copy of a model, into which pages of the KV "
                   "cache move when it is full, and come back from (default: 0, on a GPU 4GB, all "
                   "together at most an eighth of what is free)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  group
      ->add_option("--preempt", options.preempt,
                   "When pages run out, what is computed of a request goes to the host cache "
                   "(swap), runs again later (recompute), or whichever takes less time (auto)")
      ->check(CLI::IsMember({"auto", "swap", "recompute"}))
      ->capture_default_str();
  group->add_flag("--no-prefix-cache", options.no_prefix_cache,
                  "Run every prompt from its beginning");
  group->add_flag("--no-run-ahead", options.no_run_ahead,
                  "Give a GPU each step when the tokens of the last one are known, not before");
  group
      ->add_option(
          "--speculate", engine.guess_tokens,
          "Guess so many tokens ahead, by the model of --draft or from the text itself; the "
          "answers are the same (default: 0, with --draft 4)")
      ->check(CLI::Range(0, 32).description(""))
      ->type_name("N");
  group
      ->add_option("--draft", options.shared.draft,
                   "A smaller model of the same vocabulary that guesses for the served ones")
      ->type_name("MODEL");
  group
      ->add_option("--replicas", options.shared.replicas,
                   "Copies of each model that share its requests, each on a GPU of its own, from "
                   "that of --device on")
      ->check(CLI::Range(1, static_cast<int>(engine::Placement::kMaxEngines)).description(""))
      ->type_name("N")
      ->capture_default_str();
  add_tensor_parallel_option(*group, options.shared.tensor_parallel);
  group
      ->add_option("--chat-template", options.chat_template,
                   "Use this Jinja file in place of the models' templates")
      ->type_name("FILE");
  group->add_option("--pooling", options.pooling, "What embeddings are made of: mean or last")
      ->check(CLI::IsMember({"mean", "last"}))
      ->capture_default_str();
}

// What conversations get whose requests do not say otherwise.
void add_answer_group(CLI::App& app, ServeOptions& options) {
  auto* group = app.add_option_group("Answers");
  group
      ->add_option("--think-budget", options.think_budget,
                   "Tokens of thinking where a request gives neither budget nor effort; -1: no "
                   "limit")
      ->check(CLI::Range(output::kNoBudget, kMaxThinkingBudget).description(""))
      ->type_name("N")
      ->capture_default_str();
  group
      ->add_option("--model-think-budget", options.model_think_budgets,
                   "The same for one model; can be given again")
      ->allow_extra_args(false)
      ->type_name("NAME=N");
  group->add_flag("--system-in-user", options.system_in_user,
                  "Make the system message the first paragraph of the user's");
}

void add_http_group(CLI::App& app, ServeOptions& options) {
  net::ServerOptions& http = options.app.http;
  auto* group = app.add_option_group("Network");
  group->add_option("--host", http.host, "Address to listen on; 0.0.0.0: all of this machine")
      ->capture_default_str();
  group->add_option("--port", http.port, "Port to listen on; 0: any free one")
      ->capture_default_str();
  group->add_option("--http-threads", http.threads, "Threads for connections")
      ->check(CLI::Range(1, 64).description(""))
      ->type_name("N")
      ->capture_default_str();
  group->add_option("--max-connections", http.max_connections, "Open connections at most")
      ->check(CLI::Range(1, 1 << 20).description(""))
      ->type_name("N")
      ->capture_default_str();
  group->add_option("--max-body", options.app.max_body_bytes, "Bytes of a request at most")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE")
      ->capture_default_str();
  group->add_option("--tls-cert", http.tls_certificate, "Serve HTTPS with this PEM certificate")
      ->type_name("FILE");
  group->add_option("--tls-key", http.tls_key, "Its private key")->type_name("FILE");
  group
      ->add_option("--cors-origin", options.app.cors_origins,
                   "Let pages of this origin use the server; can be given again; *: all")
      ->type_name("ORIGIN");
}

void add_operation_group(CLI::App& app, ServeOptions& options) {
  auto* group = app.add_option_group("Operation");
  group
      ->add_option("--api-keys", options.key_file,
                   "Ask for an API key of this file (hachi key makes one); read again on SIGHUP")
      ->type_name("FILE");
  group->add_option("--timeout", options.timeout_s, "End an answer after this time; 0: never")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->type_name("S")
      ->capture_default_str();
  group
      ->add_option("--access-log", options.access_log,
                   "Where each request is a line of JSON: a file, - (standard error) or off")
      ->type_name("FILE")
      ->capture_default_str();
  group->add_flag("--log-text", options.log_text, "Prompts and answers too");
  group
      ->add_option("--memory-budget", options.memory_budget,
                   "Memory for all models; the longest unused go when it is full")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  group
      ->add_option("--idle-unload", options.idle_s, "Unload a model unused for this time; 0: never")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->type_name("S")
      ->capture_default_str();
  group
      ->add_option(
          "--data", options.data_folder,
          "Where /v1/files and /v1/batches are kept (default: serve in hachi's own folder)")
      ->type_name("DIR");
  group->add_option("--data-limit", options.app.max_data_bytes, "Bytes of all files there at most")
      ->transform(CLI::AsSizeValue(true))
      ->type_name("SIZE")
      ->capture_default_str();
  group->add_flag("--lazy", options.lazy, "Load no model before it is asked for");
  group->add_option("--grace", options.grace_s, "Time for running answers when it is stopped")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->type_name("S")
      ->capture_default_str();
}

// For each copy of a model. On a processor the KV cache is in its memory anyway. With GPUs most of
// that memory stays free: files of weights pass through it. The ranks of a divided model each hold
// their part's, which is not taken without being asked for.
uint64_t default_host_cache_bytes(const ServeOptions& options, bool on_gpu) {
  constexpr uint64_t kMost = uint64_t{4} << 30;
  const uint64_t copies = options.models.size() * static_cast<uint64_t>(options.shared.replicas);
  if (!on_gpu || copies == 0 || options.shared.tensor_parallel > 1) return 0;
  return std::min(kMost, available_memory() / 8 / copies);
}

// Without a home there is no folder, and the server says that it keeps no files.
std::filesystem::path data_folder(const ServeOptions& options) {
  if (!options.data_folder.empty()) return options.data_folder;
  const auto store = ModelStore::open();
  return store ? store->root() / "serve" : std::filesystem::path();
}

}  // namespace

void complete(ServeOptions& options) {
  engine::EngineOptions& engine = options.shared.engine;
  engine.scheduler.share_prefixes = !options.no_prefix_cache;
  engine.run_ahead = !options.no_run_ahead;
  constexpr int64_t kDraftTokens = 4;
  if (!options.shared.draft.empty() && engine.guess_tokens == 0) engine.guess_tokens = kDraftTokens;
  engine.scheduler.preempt = options.preempt == "swap"        ? engine::Preempt::kSwap
                             : options.preempt == "recompute" ? engine::Preempt::kRecompute
                                                              : engine::Preempt::kAuto;
  const bool on_gpu = choose_gpu(options.shared.model.device).has_value();
  options.shared.host_cache_bytes =
      options.host_cache_bytes.value_or(default_host_cache_bytes(options, on_gpu));
  const StepSizes& usual = on_gpu ? kGpuSteps : kProcessorSteps;
  engine.scheduler.max_sequences = options.max_batch.value_or(usual.max_batch);
  engine.scheduler.step_tokens =
      std::max(options.step_tokens.value_or(usual.step_tokens), engine.scheduler.max_sequences);
  engine.scheduler.prompt_tokens = options.prompt_tokens.value_or(usual.prompt_tokens);
  options.app.models.engine = engine;
  options.app.models.memory_budget = options.memory_budget > 0 ? options.memory_budget : UINT64_MAX;
  options.app.models.idle_time = seconds(static_cast<int64_t>(options.idle_s));
  options.app.data_folder = data_folder(options);
  options.app.request_timeout = seconds(static_cast<int64_t>(options.timeout_s));
  options.app.pooling = options.pooling == "last" ? engine::Pooling::kLast : engine::Pooling::kMean;
}

void add_serve_options(CLI::App& app, ServeOptions& options) {
  add_http_group(app, options);
  add_operation_group(app, options);
  add_engine_group(app, options);
  add_answer_group(app, options);
  add_engine_options(app, options.shared.model);
}

}  // namespace hachi::cli
