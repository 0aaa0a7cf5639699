#include "cli/completion.h"

#include <array>
#include <cstdio>
#include <memory>

#include <gtest/gtest.h>

#include "cli/scratch.h"

namespace hachi::cli {
namespace {

// A small program with one of each kind of word.
std::unique_ptr<CLI::App> sample_app() {
  auto app = std::make_unique<CLI::App>("A program", "hachi");
  app->add_flag("--version")->description("The version");
  CLI::App* chat = app->add_subcommand("chat", "Talk to a model: it's \"here\" [now]");
  chat->add_option("model", "The model")->type_name("MODEL");
  chat->add_option("-t,--temperature", "How bold");
  chat->add_option("--think", "Thinking")->check(CLI::IsMember({"on", "off"}));
  chat->add_flag("--quiet")->description("Say less");
  chat->add_flag("--hidden")->description("Not for all")->group("");
  CLI::App* bench = app->add_subcommand("bench", "Measure");
  bench->add_option("model", "The model")->type_name("MODEL");
  bench->add_option("--depth", "How deep");
  CLI::App* load = bench->add_subcommand("pull", "Measure pulling");
  load->add_option("--rate", "How often");
  load->add_option_group("Report")->add_flag("--json")->description("As JSON");
  CLI::App* pull = app->add_subcommand("pull", "Get a model");
  pull->add_option("source", "What")->type_name("SOURCE");
  return app;
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> bytes{};
  while (std::fgets(bytes.data(), bytes.size(), pipe) != nullptr) output += bytes.data();
  const int status = ::pclose(pipe);
  return output + (status == 0 ? "" : "(failed)");
}

// What bash offers for the line "hachi `words`", the last word being the one to complete.
std::string bash_offers(const std::string& words) {
  const Scratch scratch;
  scratch.write("some.gguf", "");
  scratch.write("hachi", "#!/bin/sh\necho mistral\necho smollm2\n");
  const auto script = scratch.write("hachi.bash", completion_script(*sample_app(), Shell::kBash));
  return output_of("cd " + scratch.path().string() + " && chmod +x hachi && bash -c '. " +
                   script.string() + "; COMP_WORDS=(./hachi " + words +
                   "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _hachi; echo ${COMPREPLY[*]}'");
}

TEST(Completion, BashOffersWhatFits) {
  EXPECT_EQ(bash_offers("\"\""), "chat bench pull\n");
  EXPECT_EQ(bash_offers("c"), "chat\n");
  EXPECT_EQ(bash_offers("chat sm"), "smollm2\n");
  EXPECT_EQ(bash_offers("chat s"), "smollm2 some.gguf\n");
  EXPECT_EQ(bash_offers("chat --te"), "--temperature\n");
  EXPECT_EQ(bash_offers("chat --think \"\""), "on off\n");
  EXPECT_EQ(bash_offers("chat --think = of"), "off\n");
  EXPECT_EQ(bash_offers("chat --quiet mi"), "mistral\n");
  EXPECT_EQ(bash_offers("chat -t so"), "some.gguf\n");
  EXPECT_EQ(bash_offers("chat --hid"), "\n");
  EXPECT_EQ(bash_offers("pull sm"), "smollm2\n");
  EXPECT_EQ(bash_offers("--ver"), "--version\n");
}

TEST(Completion, BashKnowsSubcommandsOfSubcommands) {
  EXPECT_EQ(bash_offers("bench p"), "pull\n");
  EXPECT_EQ(bash_offers("bench m"), "mistral\n");
  EXPECT_EQ(bash_offers("bench --"), "--help --depth\n");
  EXPECT_EQ(bash_offers("bench pull --"), "--help --rate --json\n");
  EXPECT_EQ(bash_offers("pull sm"), "smollm2\n");
  EXPECT_EQ(bash_offers("pull --r"), "\n");
}

TEST(Completion, FishKnowsSubcommandsOfSubcommands) {
  if (output_of("command -v fish >/dev/null || echo none") == "none\n") {
    GTEST_SKIP() << "skipped: fish is not installed";
  }
  const Scratch scratch;
  const auto script = scratch.write("hachi.fish", completion_script(*sample_app(), Shell::kFish));
  const auto offers = [&](const std::string& words) {
    return output_of("fish -c 'source " + script.string() + "; complete -C \"hachi " + words +
                     "\"' 2>/dev/null | cut -f1 | sort | tr '\\n' ' '");
  };
  EXPECT_EQ(offers("bench pull --r"), "--rate ");
  EXPECT_EQ(offers("bench --d"), "--depth ");
  EXPECT_EQ(offers("bench --r"), "");
  EXPECT_EQ(offers("bench pu"), "pull ");
  EXPECT_EQ(offers("pull --r"), "");
  EXPECT_EQ(offers("pu"), "pull ");
}

TEST(Completion, EachShellTakesItsScript) {
  const Scratch scratch;
  for (const auto& [shell, name] : {std::pair{Shell::kBash, "bash"}, std::pair{Shell::kZsh, "zsh"},
                                    std::pair{Shell::kFish, "fish"}}) {
    const std::string script = completion_script(*sample_app(), shell);
    EXPECT_NE(script.find("temperature"), std::string::npos) << name;
    EXPECT_EQ(script.find("hidden"), std::string::npos) << name;
    const auto file = scratch.write(name, script);
    const std::string there = std::string("command -v ") + name + " >/dev/null || exit 0; ";
    EXPECT_EQ(output_of(there + name + " -n " + file.string() + " 2>&1"), "") << script;
  }
}

}  // namespace
}  // namespace hachi::cli
