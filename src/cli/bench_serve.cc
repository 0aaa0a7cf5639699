// `hachi bench serve`: how a server bears a load, ours or any other that speaks OpenAI's API.
#include "cli/bench_serve.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sys/resource.h>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "cli/interrupt.h"
#include "cli/load_report.h"
#include "cli/load_run.h"
#include "core/files.h"

namespace hachi::cli {
namespace {

constexpr int64_t kMaxUsers = 1 << 16;
constexpr int64_t kMaxRequests = int64_t{1} << 30;
constexpr double kMaxRate = 1e6;
constexpr double kMaxSeconds = 1e6;
constexpr int64_t kDefaultRequests = 64;
constexpr int64_t kDefaultRequestsPerUser = 4;
constexpr int64_t kWarmupUsers = 64;

struct LoadOptions {
  LoadRequestOptions request;
  std::string endpoint = "chat";
  std::vector<int64_t> users = {1};
  std::vector<double> rates;
  double burstiness = 1;
  int64_t requests = 0;  // 0: by default
  double seconds = 0;
  std::string prompt_file;
  std::string prompt_tokens = "128";
  SyntheticPrompts prompts;
  int64_t warmup = 1;
  double timeout_s = 0;
  bool insecure = false;
  std::vector<std::string> targets;
  std::string json;
  bool quiet = false;
};

// Each stream is an open file.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::vector<LoadShape> shapes_of(const LoadOptions& options) {
  LoadShape shape;
  shape.burstiness = options.burstiness;
  shape.seconds = options.seconds;
  shape.seed = options.prompts.seed;
  shape.requests = options.requests;
  const bool by_default = options.requests == 0 && options.seconds == 0;
  std::vector<LoadShape> shapes;
  for (const double rate : options.rates) {
    shape.rate = rate;
    if (by_default) shape.requests = kDefaultRequests;
    shapes.push_back(shape);
  }
  if (!shapes.empty()) return shapes;
  for (const int64_t users : options.users) {
    shape.users = users;
    if (by_default) shape.requests = std::max(kDefaultRequests, kDefaultRequestsPerUser * users);
    shapes.push_back(shape);
  }
  return shapes;
}

Result<PromptSource> open_prompts(LoadOptions& options) {
  if (!options.prompt_file.empty()) return PromptSource::from_file(options.prompt_file);
  TRY(parse_prompt_tokens(options.prompt_tokens, options.prompts));
  return PromptSource::synthetic(options.prompts);
}

std::string describe_prompts(const LoadOptions& options, const PromptSource& prompts) {
  if (prompts.size() > 0) return fmt::format("{} prompts of a file", prompts.size());
  std::string text = fmt::format("prompts of {} words", options.prompt_tokens);
  if (options.prompts.shared_prefix > 0) {
    text += fmt::format(", the first {} the same", options.prompts.shared_prefix);
  }
  return text;
}

// Fails if none was answered: then the server is not what the options say.
Result<void> warm_up(const LoadTarget& target, const PromptSource& prompts,
                     const LoadOptions& options) {
  if (options.warmup == 0) return {};
  LoadShape shape;
  shape.requests = options.warmup;
  shape.users = std::min(options.warmup, kWarmupUsers);
  ProgressLine progress("warming up", options.quiet);
  LoadRun run(target, prompts, shape, 0);
  TRY(const LoadRecord record, run.run(progress));
  if (record.interrupted) return fail(Code::kCancelled, "interrupted");
  const LoadAnswer* failure = nullptr;
  for (const LoadAnswer& answer : record.answers) {
    if (answer.end == LoadAnswer::End::kCompleted) return {};
    failure = &answer;
  }
  if (failure == nullptr) return {};
  return fail(Code::kIo, "{} does not answer{}: {}", target.endpoint_url(),
              failure->status > 0 ? fmt::format(" ({})", failure->status) : "", failure->failure);
}

Result<void> run_levels(const LoadTarget& target, const PromptSource& prompts,
                        const LoadOptions& options, LoadReport& report) {
  // No prompt comes twice, so that no cache has seen more of it than was asked for.
  int64_t next_prompt = options.warmup;
  for (const LoadShape& shape : shapes_of(options)) {
    const std::string what = shape.rate > 0 ? fmt::format("{:g} requests a second", shape.rate)
                                            : fmt::format("{} users", shape.users);
    ProgressLine progress(what, options.quiet);
    LoadRun run(target, prompts, shape, next_prompt);
    TRY(LoadRecord record, run.run(progress));
    next_prompt += static_cast<int64_t>(record.answers.size());
    const bool go_on = !record.interrupted && record.stopped.empty();
    report.levels.push_back({shape, std::move(record)});
    if (!go_on) break;
  }
  return {};
}

Result<void> write_json(const std::string& file, const LoadReport& report) {
  const std::string text = boost::json::serialize(report_json(report)) + "\n";
  if (file == "-") {
    fmt::print("{}", text);
    return {};
  }
  TRY(NewFile written, NewFile::create(file));
  TRY(written.write(std::as_bytes(std::span(text))));
  return written.commit();
}

// 1 if a request failed.
Result<int> status_of(const LoadReport& report) {
  int64_t failed = 0;
  for (const LoadLevel& level : report.levels) {
    if (level.record.interrupted) return fail(Code::kCancelled, "interrupted");
    failed += std::count_if(
        level.record.answers.begin(), level.record.answers.end(),
        [](const LoadAnswer& answer) { return answer.end == LoadAnswer::End::kFailed; });
  }
  return failed > 0 ? 1 : 0;
}

Result<int> run_load(LoadOptions options) {
  const InterruptGuard guard;
  allow_many_files();
  if (const char* key = std::getenv("OPENAI_API_KEY");
      options.request.api_key.empty() && key != nullptr) {
    options.request.api_key = key;
  }
  options.request.endpoint =
      options.endpoint == "chat" ? LoadEndpoint::kChat : LoadEndpoint::kCompletions;
  options.request.http.verify = !options.insecure;
  options.request.http.total_timeout =
      std::chrono::milliseconds(static_cast<int64_t>(1000 * options.timeout_s));
  LoadReport report;
  TRY(report.targets, parse_targets(options.targets));
  TRY(const PromptSource prompts, open_prompts(options));
  TRY(LoadTarget target, LoadTarget::create(options.request));
  TRY(target.choose_model());
  TRY(warm_up(target, prompts, options));
  report.request = target.options();
  report.endpoint_url = target.endpoint_url();
  report.prompts = describe_prompts(options, prompts);
  TRY(run_levels(target, prompts, options, report));
  if (options.json != "-") print_table(report);
  if (!options.json.empty()) {
    TRY(write_json(options.json, report));
  }
  return status_of(report);
}

void add_server_group(CLI::App& app, LoadOptions& options) {
  auto* group = app.add_option_group("Server");
  group->add_option("--url", options.request.url, "Where its API begins")->capture_default_str();
  group
      ->add_option("--model", options.request.model,
                   "Model to ask for (default: the first that the server lists)")
      ->type_name("NAME");
  group
      ->add_option("--api-key", options.request.api_key,
                   "Key to send (default: the variable OPENAI_API_KEY)")
      ->type_name("KEY");
  group->add_option("--endpoint", options.endpoint, "What to ask: chat or completions")
      ->check(CLI::IsMember({"chat", "completions"}))
      ->capture_default_str();
  group->add_option("--timeout", options.timeout_s, "Give a request up after this time; 0: never")
      ->check(CLI::Range(0.0, kMaxSeconds).description(""))
      ->type_name("S")
      ->capture_default_str();
  group->add_option("--ca-file", options.request.http.ca_file, "Trust these PEM certificates too")
      ->type_name("FILE");
  group->add_flag("--insecure", options.insecure, "Do not check the server's certificate");
}

void add_load_group(CLI::App& app, LoadOptions& options) {
  auto* group = app.add_option_group("Load");
  auto* users = group
                    ->add_option("--concurrency,-c", options.users,
                                 "Users who ask one question after the other")
                    ->delimiter(',')
                    ->check(CLI::Range(int64_t{1}, kMaxUsers).description(""))
                    ->type_name("N,...")
                    ->capture_default_str();
  group
      ->add_option("--rate", options.rates,
                   "Requests a second instead, at random times (a Poisson process)")
      ->delimiter(',')
      ->check(CLI::Range(1e-6, kMaxRate).description(""))
      ->type_name("R,...")
      ->excludes(users);
  group
      ->add_option("--burstiness", options.burstiness,
                   "Shape of the times between them: below 1 in bursts, above 1 more even")
      ->check(CLI::Range(0.01, 1e6).description(""))
      ->type_name("X")
      ->capture_default_str();
  group
      ->add_option("--requests,-n", options.requests,
                   "Requests of each load (default: 64, or 4 a user if that is more)")
      ->check(CLI::Range(int64_t{1}, kMaxRequests).description(""))
      ->type_name("N");
  group
      ->add_option("--duration", options.seconds,
                   "Send none after this time; those that run are waited for")
      ->check(CLI::Range(0.0, kMaxSeconds).description(""))
      ->type_name("S");
  group
      ->add_option("--warmup", options.warmup,
                   "Requests before the first load that do not count; 0: none")
      ->check(CLI::Range(int64_t{0}, kMaxRequests).description(""))
      ->type_name("N")
      ->capture_default_str();
  group->add_flag("--retry", options.request.retry,
                  "Send a request again after 429 and 503, when Retry-After says");
}

void add_request_group(CLI::App& app, LoadOptions& options) {
  auto* group = app.add_option_group("Requests");
  group
      ->add_option("--prompt-file", options.prompt_file,
                   "Prompts, one a line; or JSON lines with \"prompt\" or \"messages\"")
      ->type_name("FILE");
  group
      ->add_option("--prompt-tokens", options.prompt_tokens,
                   "Tokens of prompts that are made up; 512+-64: of 448 to 576")
      ->type_name("N")
      ->capture_default_str();
  group
      ->add_option("--shared-prefix", options.prompts.shared_prefix,
                   "The first tokens of them, the same for all")
      ->check(CLI::Range(int64_t{0}, kMaxRequests).description(""))
      ->type_name("N")
      ->capture_default_str();
  group->add_option("--seed", options.prompts.seed, "Of the prompts and the times of requests")
      ->type_name("N")
      ->capture_default_str();
  group->add_option("--max-tokens", options.request.max_tokens, "Tokens of an answer at most")
      ->check(CLI::Range(int64_t{1}, kMaxRequests).description(""))
      ->type_name("N")
      ->capture_default_str();
  group->add_flag("--ignore-eos", options.request.ignore_eos,
                  "Ask for exactly so many, of a server that knows \"ignore_eos\"");
  group->add_option("--temperature", options.request.temperature, "How bold the answers are")
      ->check(CLI::Range(0.0, 10.0).description(""))
      ->type_name("X")
      ->capture_default_str();
  group
      ->add_option("--extra-body", options.request.extra_body,
                   "A JSON object whose members each request has too")
      ->type_name("JSON");
}

void add_report_group(CLI::App& app, LoadOptions& options) {
  auto* group = app.add_option_group("Report");
  group
      ->add_option("--slo", options.targets,
                   "Count the answers that are fast enough: ttft=MS, tpot=MS, e2el=MS")
      ->delimiter(',')
      ->type_name("NAME=MS,...");
  group->add_option("--json", options.json, "Write all figures there; -: instead of the table")
      ->type_name("FILE");
  group->add_flag("--quiet,-q", options.quiet, "No progress");
}

}  // namespace

Command add_bench_serve(CLI::App& bench) {
  CLI::App* app = bench.add_subcommand("serve", "Measure a server under load");
  auto options = std::make_shared<LoadOptions>();
  add_server_group(*app, *options);
  add_load_group(*app, *options);
  add_request_group(*app, *options);
  add_report_group(*app, *options);
  app->footer(R"(
TTFT: time to the first token. TPOT: time per token after the first, of each answer. ITL: each gap
between two pieces of an answer. E2EL: end-to-end latency. A seed makes the same prompts again: a
server that caches prefixes has seen them then.

Examples:
  hachi bench serve --concurrency 1,4,16 --prompt-tokens 512 --shared-prefix 480
  hachi bench serve --url http://127.0.0.1:8000/v1 --rate 2,4 --duration 60 --slo ttft=500,tpot=50)");
  return {app, [options] { return run_load(*options); }};
}

}  // namespace hachi::cli
