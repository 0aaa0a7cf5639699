// The subcommands `pull`, `list` and `completion`: options only, the work is in pull.cc and
// list.cc.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/completion.h"
#include "cli/list.h"
#include "cli/pull.h"

namespace hachi::cli {

Command add_pull(CLI::App& program) {
  CLI::App* app = program.add_subcommand("pull", "Get a model into the store");
  auto options = std::make_shared<PullOptions>();
  app->add_option("SOURCE", options->source,
                  "A known name (smollm2), a .gguf file or a Hugging Face folder")
      ->required()
      ->type_name("MODEL");
  app->add_option("--name", options->name, "What to call it in the store")->type_name("NAME");
  app->add_flag("--link", options->link, "Link to the file or folder in place of copying it");
  app->add_flag("--quiet,-q", options->quiet, "No progress");
  app->footer(R"(
Examples:
  hachi pull smollm2
  hachi pull ~/Downloads/Qwen3-8B-Q4_K_M.gguf --name qwen3-8b
  hachi pull ~/models/Qwen3-8B --link)");
  return {app, [options] { return run_pull(*options); }};
}

Command add_list(CLI::App& program) {
  CLI::App* app = program.add_subcommand("list", "Show the models in the store");
  auto options = std::make_shared<ListOptions>();
  app->add_flag("--json", options->json, "As one JSON object");
  app->add_flag("--quiet,-q", options->quiet, "Names only, one a line");
  return {app, [options] { return run_list(*options); }};
}

Command add_completion(CLI::App& program) {
  CLI::App* app = program.add_subcommand("completion", "Print a script that completes commands");
  auto shell = std::make_shared<std::string>();
  app->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  app->footer(R"(
Examples:
  source <(hachi completion bash)
  hachi completion zsh > ~/.zfunc/_hachi
  hachi completion fish > ~/.config/fish/completions/hachi.fish)");
  return {app, [&program, shell]() -> Result<int> {
            const Shell kind = *shell == "bash"  ? Shell::kBash
                               : *shell == "zsh" ? Shell::kZsh
                                                 : Shell::kFish;
            fmt::print("{}", completion_script(program, kind));
            return 0;
          }};
}

}  // namespace hachi::cli
