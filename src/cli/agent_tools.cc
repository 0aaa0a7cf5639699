#include "cli/agent_tools.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "agent/calculator.h"
#include "agent/file_tools.h"
#include "agent/mcp_tools.h"
#include "agent/shell.h"

namespace hachi::cli {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kNameLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

// A server that is started by `words`; its tools are called name_tool.
struct ServerCommand {
  std::string name;
  std::vector<std::string> words;
};

Result<ServerCommand> server_command(const std::string& text) {
  ServerCommand command;
  const size_t end = text.find_first_not_of(kNameLetters);
  const bool is_named = end != std::string::npos && end > 0 && text[end] == '=';
  const auto words = split_words(std::string_view(text).substr(is_named ? end + 1 : 0));
  if (!words) return fail(words.error().code, "--mcp '{}': {}", text, words.error().message);
  if (words->empty()) {
    return fail(Code::kInvalidArgument, "--mcp '{}': there is no command to start", text);
  }
  command.words = *words;
  command.name =
      is_named ? text.substr(0, end) : std::filesystem::path(words->front()).stem().string();
  return command;
}

Result<void> add_server(agent::Toolbox& tools, const std::string& text,
                        const agent::CallContext& context) {
  TRY(const ServerCommand command, server_command(text));
  agent::ProcessCommand process;
  process.arguments = command.words;
  process.environment = agent::basic_environment();
  process.has_input = true;
  TRY(agent::McpServer server, agent::McpServer::start(process, command.name, context));
  return agent::add_mcp_tools(tools, std::move(server), command.name, context);
}

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view command) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (quote == 0 && kSpace.find(c) != std::string_view::npos) {
      in_word = false;
      continue;
    }
    if (!std::exchange(in_word, true)) words.emplace_back();
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'') {
      if (++i == command.size()) return fail(Code::kInvalidArgument, "it ends with a backslash");
      const bool is_kept = quote == '"' && command[i] != '"' && command[i] != '\\';
      if (is_kept) words.back() += '\\';
      words.back() += command[i];
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) return fail(Code::kInvalidArgument, "a {} is not closed", quote);
  return words;
}

Result<agent::Toolbox> make_toolbox(const AgentToolOptions& options,
                                    const agent::CallContext& context) {
  agent::Toolbox tools;
  TRY(tools.add(std::make_unique<agent::Calculator>()));
  if (!options.folder.empty()) {
    TRY(agent::Folder opened, agent::Folder::open(options.folder));
    const auto folder = std::make_shared<const agent::Folder>(std::move(opened));
    TRY(tools.add(std::make_unique<agent::ListFiles>(folder)));
    TRY(tools.add(std::make_unique<agent::ReadFile>(folder)));
  }
  if (options.shell) {
    TRY(tools.add(std::make_unique<agent::Shell>(options.folder, agent::ShellLimits{})));
  }
  for (const std::string& server : options.mcp) {
    TRY(add_server(tools, server, context));
  }
  return tools;
}

}  // namespace hachi::cli
