// `hachi serve`: models behind an OpenAI-compatible server.
#include <csignal>
#include <ctime>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "chat/chat_template.h"
#include "cli/command.h"
#include "cli/ranks.h"
#include "cli/serve_models.h"
#include "cli/serve_options.h"
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

// A model to be served, as the options say.
struct Serving {
  ServedName name;
  ModelPlan plan;
  int64_t think_budget = output::kNoBudget;
};

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
  const int copies = options.shared.replicas;
  const int ranks = options.shared.tensor_parallel;
  for (const auto& [name, plan, budget] : servings) {
    fmt::print(stderr,
               "hachi: model {}: {}on {}{} {} of weights{}, KV cache of {} ({}, {} tokens){}, "
               "context {}, thinking {}\n",
               name.name, copies > 1 ? fmt::format("{} copies, each ", copies) : "",
               printable(plan.device),
               ranks > 1 ? fmt::format(", divided among {} processes, each with", ranks) : ",",
               human_bytes(plan.weight_bytes),
               plan.work_bytes > 0 ? fmt::format(", {} of work", human_bytes(plan.work_bytes)) : "",
               human_bytes(plan.kv_cache_bytes), options.shared.model.kv_type, plan.cache_tokens,
               plan.host_pages > 0
                   ? fmt::format(", host cache of {}", human_bytes(plan.host_cache_bytes))
                   : "",
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
                 ? fmt::format("{} tokens{}", options.shared.engine.guess_tokens,
                               options.shared.draft.empty() ? "" : " by " + options.shared.draft)
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

// What a model that is divided cannot have beside it.
Result<void> check_ranks(const ServeOptions& options) {
  if (options.shared.tensor_parallel == 1) return {};
  const bool is_one = options.models.size() == 1 && options.shared.replicas == 1;
  if (is_one && !options.lazy && options.idle_s == 0) return {};
  return fail(Code::kInvalidArgument,
              "--tensor-parallel serves one model, and does so from start to end: without a "
              "second one, --replicas, --lazy and --idle-unload");
}

Result<int> follow(const ServeOptions& options, const Serving& serving, Ranks& ranks) {
  TRY(follow_served_model(serving.name.model, serving.plan, options.shared));
  ranks.finish();
  return 0;
}

Result<int> serve(ServeOptions& options) {
  TRY(check_ranks(options));
  TRY(Ranks ranks, Ranks::find(options.shared.tensor_parallel, options.shared.model));
  if (ranks.rank() != 0) options.shared.draft.clear();  // the first rank guesses for all
  complete(options);
  if (!options.chat_template.empty()) {
    TRY(options.shared.chat_template, read_file(options.chat_template, chat::kMaxTemplateBytes));
  }
  TRY(const std::vector<Serving> servings, plan_models(options));
  const sigset_t signals = block_signals();
  TRY(ranks.meet());
  options.shared.group = ranks.group();
  if (ranks.rank() != 0) return follow(options, servings.front(), ranks);
  std::vector<server::OfferedModel> offered;
  offered.reserve(servings.size());
  for (const Serving& one : servings) {
    offered.push_back({one.name.name, one.plan.memory_bytes(), std::time(nullptr)});
  }
  options.app.models.engine.context = options.shared.model.context;
  options.app.models.copies = options.shared.replicas;
  TRY(server::LoadedKeys keys, read_keys(options, nullptr));
  TRY(auto log, open_log(options));
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
  const int status = run_until_stopped(options, *app, signals);
  ranks.finish();
  return status;
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
  add_serve_options(*app, *options);
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
