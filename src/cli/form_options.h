// What an answer has to look like, as the command line asks for it: a schema, a regular expression,
// a grammar or a few choices; tools; and how long the model may think.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/App.hpp>

#include "chat/prompter.h"
#include "cli/conversation.h"
#include "cli/loaded_model.h"
#include "core/result.h"
#include "output/answer_form.h"

namespace hachi::cli {

inline constexpr int64_t kMaxThinkingBudget = std::numeric_limits<int32_t>::max();

struct FormOptions {
  std::string schema;  // the names of files, as those of the grammar and the tools
  std::optional<std::string> regex;
  std::string grammar;
  std::vector<std::string> choices;
  bool json_object = false;
  std::string tools;
  std::string tool_choice = "auto";
  std::optional<int64_t> think_budget;  // tokens
  std::optional<bool> thinking;         // not set: as the template has it
  bool system_in_user = false;
};

// --no-think, --think-budget, --system-in-user.
void add_thinking_options(CLI::App& app, FormOptions& options);

// --schema, --regex, --grammar, --choice, --json-object.
void add_format_options(CLI::App& app, FormOptions& options);

// All of those, --tools and --tool-choice.
void add_form_options(CLI::App& app, FormOptions& options);

// Sets one by its name in chat, where "off" or nothing takes it away: schema, regex, grammar,
// tools, budget. A form takes the place of the one before it. Files are read when the form is made.
Result<void> set_form_option(FormOptions& options, std::string_view name, std::string_view value);
// What is set, for people: "schema person.json", or "off".
std::string shown_form_option(const FormOptions& options, std::string_view name);

// Reads the files. Fails if the options ask for more than one form, or a file is not what it should
// be; the message names the file or the option.
Result<output::FormRequest> form_request(const FormOptions& options);

// The form; an error names the file or the option that it came from. `prompter` may be null, as for
// AnswerForm::make.
Result<output::AnswerForm> make_form(const FormOptions& options, const output::FormRequest& request,
                                     const chat::Prompter* prompter, output::FormTables& tables);

// What the prompt has to know of it.
void set_form(Conversation& conversation, const output::FormRequest& request,
              const FormOptions& options);

// For the tokenizer, the end tokens and the logits of a model, which outlives the tables.
output::FormTables form_tables(const LoadedModel& loaded);

}  // namespace hachi::cli
