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
  EXPECT_EQ(bash_offers("\"\""), "chat pull\n");
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
