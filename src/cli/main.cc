// The program `hachi`: picks the subcommand, prints what went wrong as one sentence, and turns it
// into an exit status: 0 done, 1 done with a negative answer, 2 an error, 130 interrupted.
#include <csignal>
#include <exception>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/command.h"

namespace hachi::cli {
namespace {

constexpr int kError = 2;
constexpr int kInterrupted = 130;

constexpr const char* kFooter = R"(
Examples:
  hachi pull smollm2                      get the small default model
  hachi chat smollm2                      talk to it
  hachi run smollm2 -p "Why is the sky blue?"
  hachi agent qwen3-8b.gguf --folder notes -p "What did March cost?"
  hachi serve smollm2                     an OpenAI-compatible server, and a chat page
  hachi info ~/models/Qwen3-8B            a Hugging Face folder or a .gguf file works everywhere
  hachi COMMAND --help                    more on one of them)";

int report(const Error& error) {
  if (error.code == Code::kCancelled) {
    fmt::print(stderr, "hachi: interrupted\n");
    return kInterrupted;
  }
  fmt::print(stderr, "hachi: {}\n", error.message);
  return kError;
}

int run_program(int argc, char** argv) {
  CLI::App program("Run, chat with and measure open language models on your own machine.", "hachi");
  program.set_version_flag("--version", "hachi " HACHI_VERSION);
  program.require_subcommand(0, 1);
  program.footer(kFooter);
  program.failure_message([](const CLI::App* app, const CLI::Error& error) {
    return fmt::format(
        "hachi: {} (see hachi{} --help)\n", error.what(),
        app->get_subcommands().empty() ? "" : " " + app->get_subcommands().front()->get_name());
  });
  const std::vector<Command> commands = {
      add_chat(program),  add_run(program),       add_agent(program),    add_serve(program),
      add_key(program),   add_info(program),      add_tokenize(program), add_score(program),
      add_bench(program), add_quantize(program),  add_imatrix(program),  add_pull(program),
      add_list(program),  add_completion(program)};
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : kError;
  }
  for (const Command& command : commands) {
    if (!command.app->parsed()) continue;
    const Result<int> status = command.run();
    return status ? *status : report(status.error());
  }
  fmt::print("{}", program.help());
  return kError;
}

}  // namespace
}  // namespace hachi::cli

int main(int argc, char** argv) {
  // A file that may not grow is an error of the write, not the end of the program.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return hachi::cli::run_program(argc, argv);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "hachi: out of memory\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "hachi: a mistake of ours: {}\n", error.what());
  }
  return hachi::cli::kError;
}
