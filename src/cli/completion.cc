#include "cli/completion.h"

#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cli/known_models.h"

namespace hachi::cli {
namespace {

enum class Values { kNone, kChoices, kModels, kSources, kFiles };

struct Word {
  std::vector<std::string> names;  // "-p", "--prompt"; empty for a positional
  std::string description;
  Values values = Values::kNone;
  std::string choices;  // separated by spaces
};

struct Command {
  std::string name;    // empty for the program itself
  std::string parent;  // of a subcommand's subcommand
  std::string description;
  std::vector<Word> options;
  std::vector<Word> positionals;
};

// The first line of a description: what fits beside a completion.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// CLI11 writes a set of choices into the type name: "TEXT:{bash,zsh,fish}".
Word describe(const CLI::Option& option) {
  Word word;
  for (const std::string& name : option.get_snames()) word.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) word.names.push_back("--" + name);
  word.description = first_line(option.get_description());
  if (option.get_items_expected_max() == 0) return word;
  const std::string type = option.get_type_name();
  const size_t open = type.find('{');
  const size_t close = type.find('}', open);
  word.values = Values::kFiles;
  if (close != std::string::npos) {
    word.values = Values::kChoices;
    word.choices = type.substr(open + 1, close - open - 1);
    for (char& c : word.choices) c = c == ',' ? ' ' : c;
  } else if (type.rfind("MODEL", 0) == 0) {
    word.values = Values::kModels;
  } else if (type.rfind("SOURCE", 0) == 0) {
    word.values = Values::kSources;
    for (const KnownModel& model : known_models()) word.choices += fmt::format("{} ", model.name);
  }
  return word;
}

std::vector<const CLI::App*> parts_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

void add_words(const CLI::App& app, Command& command) {
  const bool is_group = app.get_name().empty();  // which inherits --help
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty() || (is_group && option == app.get_help_ptr())) continue;
    Word word = describe(*option);
    (word.names.empty() ? command.positionals : command.options).push_back(std::move(word));
  }
  for (const CLI::App* part : parts_of(app)) {
    if (part->get_name().empty()) add_words(*part, command);  // a group of options
  }
}

// The command itself and its subcommands.
void describe(const CLI::App& app, const std::string& name, const std::string& parent,
              std::vector<Command>& commands) {
  commands.push_back({name, parent, first_line(app.get_description()), {}, {}});
  add_words(app, commands.back());
  for (const CLI::App* sub : parts_of(app)) {
    if (sub->get_name().empty() || sub->get_group().empty()) continue;
    describe(*sub, sub->get_name(), name, commands);
  }
}

std::vector<Command> describe_all(const CLI::App& app) {
  std::vector<Command> commands;
  describe(app, "", "", commands);
  return commands;
}

// `text` with a backslash before each of `special`.
std::string escaped(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string single_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  return fmt::format("{}", fmt::join(words, between));
}

std::vector<std::string> names_under(const std::vector<Command>& commands,
                                     const std::string& parent) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (!command.name.empty() && command.parent == parent) names.push_back(command.name);
  }
  return names;
}

// "bench", "bench/serve".
std::string path_of(const Command& command) {
  return command.parent.empty() ? command.name : command.parent + "/" + command.name;
}

std::string paths_of(const std::vector<Command>& commands) {
  std::vector<std::string> paths;
  paths.reserve(commands.size());
  for (const Command& command : commands) paths.push_back(path_of(command));
  return joined(paths, " ");
}

std::string bash_values(const Word& word) {
  switch (word.values) {
    case Values::kNone:
      return ":";
    case Values::kChoices:
      return fmt::format("words={}", single_quoted(word.choices));
    case Values::kModels:
      return "words=$(\"${COMP_WORDS[0]}\" list --quiet 2>/dev/null) files=yes";
    case Values::kSources:
      return fmt::format("words={} files=yes", single_quoted(word.choices));
    case Values::kFiles:
      return "files=yes";
  }
  return ":";
}

constexpr std::string_view kBashHead = R"(_{0}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
  local command='' options='' words='' files='' word
  [[ $current == = ]] && current=''
  [[ $before == = ]] && before=${{COMP_WORDS[COMP_CWORD - 2]}}
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
    [[ " {1} " == *" ${{command:+$command/}}$word "* ]] && command=${{command:+$command/}}$word
  done
  case $command in
)";
constexpr std::string_view kBashTail = R"(  esac
  [[ $current == -* ]] && words=$options files=''
  mapfile -t COMPREPLY < <(
    compgen -W "$words" -- "$current"
    [[ -n $files ]] && compgen -f -- "$current"
  )
  [[ -n $files ]] && compopt -o filenames 2>/dev/null
}}
complete -F _{0} {0}
)";

std::string bash_script(const std::string& program, const std::vector<Command>& commands) {
  std::string script = fmt::format(kBashHead, program, paths_of(commands));
  for (const Command& command : commands) {
    std::vector<std::string> options;
    std::string cases;
    for (const Word& option : command.options) {
      options.insert(options.end(), option.names.begin(), option.names.end());
      if (option.values == Values::kNone) continue;
      cases += fmt::format("        {}) {} ;;\n", joined(option.names, "|"), bash_values(option));
    }
    std::string positional = ":";
    for (const Word& word : command.positionals) positional = bash_values(word);
    if (const auto names = names_under(commands, command.name);
        command.parent.empty() && !names.empty()) {
      positional += "; words+=' '" + single_quoted(joined(names, " "));
    }
    script += fmt::format(
        "    {})\n      options='{}'\n      case $before in\n{}        *) {} ;;\n      esac\n"
        "      ;;\n",
        command.name.empty() ? "''" : path_of(command), joined(options, " "), cases, positional);
  }
  return script + fmt::format(kBashTail, program);
}

// The end of a zsh argument specification: ":message:action".
std::string zsh_values(const std::string& program, const Word& word) {
  switch (word.values) {
    case Values::kNone:
      return "";
    case Values::kChoices:
      return fmt::format(":value:({})", word.choices);
    case Values::kModels:
      return fmt::format(":model:_{}_models", program);
    case Values::kSources:
      return fmt::format(":model:_alternative \"models\\:model\\:({})\" \"files\\:file\\:_files\"",
                         word.choices);
    case Values::kFiles:
      return ":value:_files";
  }
  return "";
}

std::string zsh_arguments(const std::string& program, const Command& command) {
  std::string text;
  for (const Word& option : command.options) {
    for (const std::string& name : option.names) {
      const std::string spec =
          fmt::format("({}){}[{}]{}", joined(option.names, " "), name,
                      escaped(option.description, "[]\\:"), zsh_values(program, option));
      text += fmt::format(" \\\n    {}", single_quoted(spec));
    }
  }
  for (const Word& word : command.positionals) {
    text += fmt::format(" \\\n    {}", single_quoted("*" + zsh_values(program, word)));
  }
  return text;
}

// What completes after a command's name, and after its subcommands' names.
std::string zsh_case(const std::string& program, const std::vector<Command>& commands,
                     const Command& command) {
  std::string text;
  for (const Command& sub : commands) {
    if (sub.name.empty() || sub.parent != command.name) continue;
    text += fmt::format(
        "if (( CURRENT > 2 )) && [[ $words[2] == {} ]]; then shift words; (( CURRENT-- ));"
        " _arguments{}; else ",
        sub.name, zsh_arguments(program, sub));
  }
  const std::vector<std::string> names = names_under(commands, command.name);
  if (!names.empty()) {
    text += fmt::format("(( CURRENT == 2 )) && compadd {}; ", joined(names, " "));
  }
  text += fmt::format("_arguments{}", zsh_arguments(program, command));
  for (size_t i = 0; i < names.size(); ++i) text += "; fi";
  return fmt::format("  {}) {} ;;\n", command.name, text);
}

std::string zsh_script(const std::string& program, const std::vector<Command>& commands) {
  std::string described;
  std::string cases;
  for (const Command& command : commands) {
    if (command.name.empty() || !command.parent.empty()) continue;
    described +=
        fmt::format(" \\\n    {}", single_quoted(command.name + ":" + command.description));
    cases += zsh_case(program, commands, command);
  }
  return fmt::format(
      "#compdef {0}\n_{0}_models() {{\n"
      "  local -a names=(${{(f)\"$($program list --quiet 2>/dev/null)\"}})\n"
      "  _describe model names\n  _files\n}}\n"
      "_{0}() {{\n  local program=$words[1] state\n  local -a line commands=({1})\n"
      "  _arguments -C{2} \\\n    '1:command:->command' '*::argument:->argument'\n"
      "  case $state in\n  command) _describe command commands ;;\n"
      "  argument)\n  case $line[1] in\n{3}  esac ;;\n  esac\n}}\n"
      "if [[ $funcstack[1] == _{0} ]]; then _{0} \"$@\"; else compdef _{0} {0}; fi\n",
      program, described, zsh_arguments(program, commands.front()), cases);
}

std::string fish_option(const Word& option) {
  std::string text;
  for (const std::string& name : option.names) {
    const bool is_long = name.rfind("--", 0) == 0;
    text += is_long ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  return text;
}

std::string fish_values(const Word& word) {
  switch (word.values) {
    case Values::kNone:
      return "";
    case Values::kChoices:
      return " -x -a " + single_quoted(word.choices);
    case Values::kModels:
      return " -r -F -a '(eval (commandline -opc)[1] list --quiet 2>/dev/null)'";
    case Values::kSources:
      return " -r -F -a " + single_quoted(word.choices);
    case Values::kFiles:
      return " -r -F";
  }
  return "";
}

// When a command's words are offered: it was named, no subcommand of it was, and it is not the
// subcommand of another that has the same name.
std::string fish_condition(const std::vector<Command>& commands, const Command& command) {
  if (command.name.empty()) return "__fish_use_subcommand";
  const std::string seen = "__fish_seen_subcommand_from ";
  std::string condition = seen + command.name;
  if (!command.parent.empty()) return fmt::format("'{}; and {}'", condition, seen + command.parent);
  for (const Command& other : commands) {
    if (other.parent.empty()) continue;
    if (other.parent == command.name) condition += "; and not " + seen + other.name;
    if (other.name == command.name) condition += "; and not " + seen + other.parent;
  }
  return "'" + condition + "'";
}

std::string fish_script(const std::string& program, const std::vector<Command>& commands) {
  std::string script = fmt::format("complete -c {} -f\n", program);
  for (const Command& command : commands) {
    if (!command.name.empty()) {
      std::string where = "__fish_use_subcommand";
      for (const Command& parent : commands) {
        const bool is_parent = !command.parent.empty() && parent.name == command.parent;
        if (is_parent) where = fish_condition(commands, parent);
      }
      script += fmt::format("complete -c {} -n {} -a {} -d {}\n", program, where, command.name,
                            single_quoted(escaped(command.description, "\\")));
    }
    const std::string start =
        fmt::format("complete -c {} -n {}", program, fish_condition(commands, command));
    for (const Word& option : command.options) {
      script += fmt::format("{}{} -d {}{}\n", start, fish_option(option),
                            single_quoted(escaped(option.description, "\\")), fish_values(option));
    }
    for (const Word& word : command.positionals) {
      if (word.values != Values::kNone)
        script += start + fish_values(word).replace(0, 3, "") + "\n";
    }
  }
  return script;
}

}  // namespace

std::string completion_script(const CLI::App& app, Shell shell) {
  const std::vector<Command> commands = describe_all(app);
  switch (shell) {
    case Shell::kBash:
      return bash_script(app.get_name(), commands);
    case Shell::kZsh:
      return zsh_script(app.get_name(), commands);
    case Shell::kFish:
      return fish_script(app.get_name(), commands);
  }
  return {};
}

}  // namespace hachi::cli
