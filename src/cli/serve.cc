// `hachi serve`: models behind an OpenAI-compatible server.
#include <csignal>
#include <ctime>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "chat/chat_template.h"
#include "cli/command.h"
#include "cli/form_options.h"
#include "cli/gpu.h"
#include "cli/serve_models.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "core/files.h"
#include "output/automaton.h"
#include "server/app.h"
#include "server/key_file.h"

namespace hachi::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct ServeOptions {
  std::vector<std::string> models;
  ServeModelOptions shared;
  server::AppOptions app;
  std::string key_file;
  std::string data_folder;
  std::string access_log = "-";
  std::string chat_template;  // a file; empty: the models' own
  bool log_text = false;
  std::string pooling = "mean";
  double timeout_s = 0;
  double idle_s = 0;
  double grace_s = 30;
  uint64_t memory_budget = 0;
  bool no_prefix_cache = false;
  bool lazy = false;
  // Not set: as the device has it.
  std::optional<int64_t> max_batch, step_tokens, prompt_tokens;
  int64_t think_budget = output::kNoBudget;
  std::vector<std::string> model_think_budgets;
  bool system_in_user = false;
};

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

// A model to be served, as the options say.
struct Serving {
  ServedName name;
  ModelPlan plan;
  int64_t think_budget = output::kNoBudget;
};

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
      ->add_option("--prompt-tokens", options.prompt_tokens,
                   by_device("Tokens of prompts in a step in which others get their next token",
                             &StepSizes::prompt_tokens))
      ->check(CLI::Range(1, 1 << 16).description(""))
      ->type_name("N");
  group
      ->add_option("--kv-cache", options.shared.kv_cache_bytes,
                   "Memory for the KV cache of a model (default: a quarter of what is free)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  group->add_flag("--no-prefix-cache", options.no_prefix_cache,
                  "Run every prompt from its beginning");
  group
      ->add_option("--speculate", engine.guess_tokens,
                   "Guess so many tokens ahead from the text itself; the answers are the same")
      ->check(CLI::Range(0, 32).description(""))
      ->type_name("N")
      ->capture_default_str();
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

// Without a home there is no folder, and the server says that it keeps no files.
std::filesystem::path data_folder(const ServeOptions& options) {
  if (!options.data_folder.empty()) return options.data_folder;
  const auto store = ModelStore::open();
  return store ? store->root() / "serve" : std::filesystem::path();
}

void complete(ServeOptions& options) {
  engine::EngineOptions& engine = options.shared.engine;
  engine.scheduler.share_prefixes = !options.no_prefix_cache;
  const StepSizes& usual = choose_gpu(options.shared.model.device) ? kGpuSteps : kProcessorSteps;
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

Result<server::LoadedKeys> read_keys(const ServeOptions& options, const server::KeyRing* before) {
  if (options.key_file.empty()) return server::LoadedKeys{};
  TRY(server::LoadedKeys keys, server::load_keys(options.key_file, before));
  if (!keys.warning.empty()) fmt::print(stderr, "hachi: {}\n", keys.warning);
  return keys;
}

Result<std::unique_ptr<server::AccessLog>> open_log(const ServeOptions& options) {
  if (options.access_log == "off") return nullptr;
  return server::AccessLog::open(
      {.file = options.access_log == "-" ? "" : options.access_log, .with_text = options.log_text});
}

void print_settings(const ServeOptions& options, const server::App& app,
                    const std::vector<Serving>& servings) {
  const auto& scheduler = options.shared.engine.scheduler;
  for (const auto& [name, plan, budget] : servings) {
    fmt::print(stderr,
               "hachi: model {}: on {}, {} of weights{}, KV cache of {} ({}, {} tokens), "
               "context {}, thinking {}\n",
               name.name, printable(plan.device), human_bytes(plan.weight_bytes),
               plan.work_bytes > 0 ? fmt::format(", {} of work", human_bytes(plan.work_bytes)) : "",
               human_bytes(plan.kv_cache_bytes), options.shared.model.kv_type, plan.cache_tokens,
               plan.context,
               budget == output::kNoBudget ? "without a limit" : fmt::format("{} tokens", budget));
  }
  if (options.system_in_user) fmt::print(stderr, "hachi: system messages go into the user's\n");
  fmt::print(stderr,
             "hachi: {} requests at once, {} waiting, steps of {} tokens, prompts of {} beside "
             "answers, prefix cache {}, speculation {}\n",
             scheduler.max_sequences, options.shared.engine.max_waiting, scheduler.step_tokens,
             scheduler.prompt_tokens, scheduler.share_prefixes ? "on" : "off",
             options.shared.engine.guess_tokens > 0
                 ? fmt::format("{} tokens", options.shared.engine.guess_tokens)
                 : "off");
  fmt::print(stderr, "hachi: API keys {}, TLS {}, timeout {}, access log {}\n",
             options.key_file.empty() ? "not asked for" : options.key_file,
             options.app.http.tls_certificate.empty() ? "off" : "on",
             options.timeout_s > 0 ? fmt::format("{} s", options.timeout_s) : "none",
             options.access_log == "-" ? "on standard error" : options.access_log);
  if (options.app.data_folder.empty() || !app.storage_error().empty()) {
    fmt::print(
        stderr, "hachi: no files and batches: {}\n",
        app.storage_error().empty() ? "neither --data nor HOME is set" : app.storage_error());
  } else {
    fmt::print(stderr, "hachi: files and batches in {}, at most {}\n",
               options.app.data_folder.string(), human_bytes(options.app.max_data_bytes));
  }
  const bool is_open = options.app.http.host != "127.0.0.1" && options.key_file.empty();
  if (is_open)
    fmt::print(stderr, "hachi: anyone who reaches this address may use it: see --api-keys\n");
  fmt::print(stderr, "hachi: listening on {}://{}:{}\n",
             options.app.http.tls_certificate.empty() ? "http" : "https", options.app.http.host,
             app.port());
}

// Signals that the main thread waits for; blocked in all threads, so before any is started.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

// The next signal, or 0 after a second without one.
int wait_for_signal(const sigset_t& signals) {
  constexpr timespec kSecond{1, 0};
  return std::max(sigtimedwait(&signals, nullptr, &kSecond), 0);
}

void reload(const ServeOptions& options, server::App& app) {
  const auto before = app.keys().get();
  if (auto keys = read_keys(options, before.get())) {
    app.keys().set(keys->ring);
    fmt::print(stderr, "hachi: read {} again\n",
               options.key_file.empty() ? "nothing" : options.key_file);
  } else {
    fmt::print(stderr, "hachi: the old keys stay: {}\n", keys.error().message);
  }
  if (app.log() == nullptr) return;
  if (auto reopened = app.log()->reopen(); !reopened) {
    fmt::print(stderr, "hachi: the old access log stays: {}\n", reopened.error().message);
  }
}

// Runs until a signal says stop; a second one does not wait for the answers.
int run_until_stopped(const ServeOptions& options, server::App& app, const sigset_t& signals) {
  int signal = 0;
  while (signal != SIGINT && signal != SIGTERM) {
    signal = wait_for_signal(signals);
    if (signal == SIGHUP) reload(options, app);
    app.tidy();
  }
  fmt::print(stderr, "hachi: stopping; answers that run have {} s (once more: now)\n",
             options.grace_s);
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {
    app.stop(milliseconds(static_cast<int64_t>(1000 * options.grace_s)));
    stopped = true;
  });
  while (!stopped) {
    const int again = wait_for_signal(signals);
    if (again == SIGINT || again == SIGTERM) std::_Exit(130);
  }
  stopper.join();
  return 0;
}

// The names are looked at first: a model's file takes a while.
Result<std::vector<Serving>> plan_models(const ServeOptions& options) {
  std::vector<ServedName> names;
  for (const std::string& text : options.models) {
    ServedName name = parse_served_name(text);
    for (const ServedName& other : names) {
      if (other.name != name.name) continue;
      return fail(Code::kInvalidArgument, "two models are named '{}': name one as NAME={}",
                  name.name, name.model);
    }
    names.push_back(std::move(name));
  }
  TRY(const std::vector<int64_t> budgets,
      thinking_budgets(names, options.think_budget, options.model_think_budgets));
  std::vector<Serving> servings;
  for (size_t i = 0; i < names.size(); ++i) {
    TRY(const ModelPlan plan, plan_model(names[i].model, options.shared));
    servings.push_back({std::move(names[i]), plan, budgets[i]});
  }
  return servings;
}

Result<int> serve(ServeOptions& options) {
  complete(options);
  if (!options.chat_template.empty()) {
    TRY(options.shared.chat_template, read_file(options.chat_template, chat::kMaxTemplateBytes));
  }
  TRY(const std::vector<Serving> servings, plan_models(options));
  std::vector<server::OfferedModel> offered;
  for (const Serving& one : servings) {
    const uint64_t bytes = one.plan.weight_bytes + one.plan.kv_cache_bytes;
    offered.push_back({one.name.name, bytes, std::time(nullptr)});
  }
  options.app.models.engine.context = options.shared.model.context;
  TRY(server::LoadedKeys keys, read_keys(options, nullptr));
  TRY(auto log, open_log(options));
  const sigset_t signals = block_signals();
  const auto load = [&](size_t i) -> Result<server::ModelParts> {
    const Serving& one = servings[i];
    TRY(server::ModelParts parts, open_served_model(one.name.model, one.plan, options.shared));
    parts.thinking_budget = one.think_budget;
    parts.system_in_user = options.system_in_user;
    return parts;
  };
  TRY(auto app, server::App::start(options.app, std::move(offered), load, std::move(keys.ring),
                                   std::move(log)));
  if (!options.shared.model.quiet) print_settings(options, *app, servings);
  if (!options.lazy) {
    if (auto model = app->models().load(""); !model) {
      return fail(Code::kInvalidArgument, "{}", model.error().message);
    }
    if (!options.shared.model.quiet)
      fmt::print(stderr, "hachi: {} is ready\n", servings.front().name.name);
  }
  return run_until_stopped(options, *app, signals);
}

}  // namespace

Command add_serve(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "serve", "Answer many users at once behind an OpenAI-compatible server");
  auto options = std::make_shared<ServeOptions>();
  options->app.http.port = 8080;
  app->add_option("MODEL", options->models,
                  "Models to serve, each as for hachi run or as NAME=MODEL; the first is loaded at "
                  "the start, the others when they are asked for")
      ->required()
      ->type_name("MODEL");
  add_http_group(*app, *options);
  add_operation_group(*app, *options);
  add_engine_group(*app, *options);
  add_answer_group(*app, *options);
  add_engine_options(*app, options->shared.model);
  app->footer(R"(
Examples:
  hachi serve smollm2                                  then open http://127.0.0.1:8080
  hachi serve qwen=~/models/Qwen3-8B-Q4_K_M.gguf smollm2 --port 8000
  hachi serve smollm2 --host 0.0.0.0 --api-keys keys.txt --tls-cert cert.pem --tls-key key.pem
  curl http://127.0.0.1:8080/v1/chat/completions -d '{"model": "smollm2", "messages":
    [{"role": "user", "content": "Name three rivers."}]}')");
  return {app, [options] { return serve(*options); }};
}

}  // namespace hachi::cli
