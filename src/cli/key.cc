// `hachi key NAME`: a new API key for `hachi serve --api-keys FILE`.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/command.h"
#include "server/api_keys.h"
#include "server/key_file.h"
#include "server/rate_limit.h"

namespace hachi::cli {
namespace {

struct KeyOptions {
  std::string name;
  server::KeyLimits limits;
  int priority = 0;
  bool own_cache = false;
};

Result<int> print_key(const KeyOptions& options) {
  TRY(const server::NewKey key, server::make_key(options.name));
  std::string line = key.line;
  while (line.ends_with('\n')) line.pop_back();
  const auto add = [&](const char* field, int64_t value) {
    if (value != 0) line += fmt::format(" {}={}", field, value);
  };
  add("rpm", options.limits.requests_per_minute);
  add("tpm", options.limits.tokens_per_minute);
  add("concurrency", options.limits.concurrency);
  add("priority", options.priority);
  if (options.own_cache) line += " salt=own";
  fmt::print("{}\n", line);
  fmt::print(stderr, "hachi: the key, which is shown this once: {}\n", key.secret);
  return 0;
}

}  // namespace

Command add_key(CLI::App& program) {
  CLI::App* app = program.add_subcommand("key", "Make an API key for hachi serve");
  auto options = std::make_shared<KeyOptions>();
  app->add_option("NAME", options->name, "Whose key it is, for logs and limits")
      ->required()
      ->type_name("NAME");
  const auto add_limit = [&](const char* name, int64_t& value, const char* what) {
    app->add_option(name, value, what)
        ->check(CLI::Range(int64_t{1}, server::kMaxLimit).description(""))
        ->type_name("N");
  };
  add_limit("--rpm", options->limits.requests_per_minute, "Requests a minute at most");
  add_limit("--tpm", options->limits.tokens_per_minute, "Tokens a minute at most");
  add_limit("--concurrency", options->limits.concurrency, "Requests at once at most");
  app->add_option("--priority", options->priority, "Higher goes first")
      ->check(CLI::Range(-server::kMaxKeyPriority, server::kMaxKeyPriority).description(""))
      ->type_name("N");
  app->add_flag("--own-cache", options->own_cache,
                "Share no cached prompts with other keys, who could feel by the time of an answer "
                "what was asked before");
  app->footer(R"(
The line for the file goes to standard output, the key itself to standard error.

Examples:
  hachi key alice >> keys.txt
  hachi key batch --priority -10 --tpm 100000 >> keys.txt
  hachi serve smollm2 --api-keys keys.txt)");
  return {app, [options] { return print_key(*options); }};
}

}  // namespace hachi::cli
