#include "cli/form_options.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <boost/json.hpp>

#include "core/files.h"
#include "formats/json.h"

namespace hachi::cli {
namespace {

using Kind = api::OutputFormat::Kind;
using Choice = api::ToolFields::Choice;

// A form that was asked for, and what messages about it begin with.
struct Asked {
  Kind kind;
  std::string path;
};

std::vector<Asked> asked_forms(const FormOptions& options) {
  std::vector<Asked> asked;
  if (!options.schema.empty()) asked.push_back({Kind::kJsonSchema, options.schema});
  if (options.regex) asked.push_back({Kind::kRegex, "--regex"});
  if (!options.grammar.empty()) asked.push_back({Kind::kGrammar, options.grammar});
  if (!options.choices.empty()) asked.push_back({Kind::kChoice, "--choice"});
  if (options.json_object) asked.push_back({Kind::kJsonObject, "--json-object"});
  return asked;
}

Result<std::string> form_text(Kind kind, const FormOptions& options) {
  if (kind == Kind::kJsonSchema) {
    TRY(const std::string text, read_file(options.schema, api::kMaxSchemaBytes));
    TRY(const boost::json::object schema, formats::parse_json_object(text, options.schema));
    return boost::json::serialize(schema);
  }
  if (kind == Kind::kGrammar) return read_file(options.grammar, api::kMaxGrammarBytes);
  return options.regex.value_or("");
}

Result<api::OutputFormat> output_format(const FormOptions& options) {
  const std::vector<Asked> asked = asked_forms(options);
  if (asked.size() > 1) {
    return fail(Code::kInvalidArgument,
                "an answer has one form: give only one of --schema, --regex, --grammar, --choice "
                "and --json-object");
  }
  if (asked.empty()) return api::OutputFormat{};
  api::OutputFormat format{.kind = asked[0].kind, .path = asked[0].path};
  TRY(format.text, form_text(format.kind, options));
  if (options.choices.size() > api::kMaxFormatChoices) {
    return fail(Code::kLimit, "--choice can be given {} times at most, not {}",
                api::kMaxFormatChoices, options.choices.size());
  }
  format.choices = options.choices;
  if (options.regex && options.regex->empty()) {
    return fail(Code::kInvalidArgument, "--regex is empty: leave it out for a free answer");
  }
  return format;
}

// The list of tools that a file holds, alone or as the member "tools" of an object.
Result<boost::json::value> tool_list(const std::string& file) {
  TRY(const std::string text, read_file(file, api::kMaxToolBytes));
  TRY(boost::json::value value, formats::parse_json(text, file));
  if (value.is_array()) return value;
  const auto* object = value.if_object();
  const auto* list = object ? object->if_contains("tools") : nullptr;
  if (list == nullptr || !list->is_array()) {
    return fail(Code::kInvalidArgument,
                "{}: must be a list of tools, or an object with such a list under \"tools\"", file);
  }
  return *list;
}

Result<void> choose(const std::string& choice, api::ToolFields& tools) {
  if (choice == "auto" || choice == "none" || choice == "required") {
    tools.choice = choice == "auto"   ? Choice::kAuto
                   : choice == "none" ? Choice::kNone
                                      : Choice::kRequired;
    return {};
  }
  const bool is_there =
      std::any_of(tools.tools.begin(), tools.tools.end(), [&](const boost::json::value& tool) {
        return tool.at("function").at("name").as_string() == choice;
      });
  if (!is_there) {
    return fail(Code::kInvalidArgument,
                "--tool-choice must be auto, none, required or the name of a tool, not '{}'",
                choice);
  }
  tools.choice = Choice::kNamed;
  tools.name = choice;
  return {};
}

Result<api::ToolFields> read_tools(const FormOptions& options) {
  if (options.tools.empty()) {
    if (options.tool_choice == "auto" || options.tool_choice == "none") return api::ToolFields{};
    return fail(Code::kInvalidArgument, "--tool-choice {} needs tools: give them with --tools",
                options.tool_choice);
  }
  boost::json::object request;
  TRY(request["tools"], tool_list(options.tools));
  api::FirstError error;
  api::FieldReader fields(request, "", error);
  api::ToolFields tools = api::read_chat_tools(fields);
  if (error) return fail(Code::kInvalidArgument, "{}: {}", options.tools, error->message);
  if (tools.tools.empty()) {
    return fail(Code::kInvalidArgument, "{}: the list of tools is empty", options.tools);
  }
  TRY(choose(options.tool_choice, tools));
  return tools;
}

std::string& file_of(FormOptions& options, std::string_view name) {
  return name == "schema" ? options.schema : name == "grammar" ? options.grammar : options.tools;
}

}  // namespace

void add_thinking_options(CLI::App& app, FormOptions& options) {
  app.add_flag_callback(
      "--no-think", [&options] { options.thinking = false; },
      "Ask for an answer without thinking, where the template can");
  app.add_option("--think-budget", options.think_budget,
                 "Tokens to think with at most, then the answer comes; 0: no thinking")
      ->check(CLI::Range(int64_t{0}, kMaxThinkingBudget).description(""))
      ->type_name("N");
  app.add_flag("--system-in-user", options.system_in_user,
               "Put the system message into the user's first message");
}

void add_format_options(CLI::App& app, FormOptions& options) {
  app.add_option("--schema", options.schema, "Hold the answer to the JSON schema in this file")
      ->type_name("FILE");
  app.add_option("--regex", options.regex, "Hold the answer to this regular expression")
      ->type_name("REGEX");
  app.add_option("--grammar", options.grammar, "Hold the answer to the EBNF grammar in this file")
      ->type_name("FILE");
  app.add_option("--choice", options.choices,
                 "The answer is this text; give it again for each other one that it may be")
      ->allow_extra_args(false)
      ->type_name("TEXT");
  app.add_flag("--json-object", options.json_object, "Hold the answer to any JSON object");
}

void add_form_options(CLI::App& app, FormOptions& options) {
  add_format_options(app, options);
  app.add_option("--tools", options.tools,
                 "Tools that the model may call: a JSON list in the form of OpenAI's API")
      ->type_name("FILE");
  app.add_option("--tool-choice", options.tool_choice,
                 "Whether it has to: auto, none, required, or the name of the tool to call")
      ->type_name("CHOICE")
      ->capture_default_str();
  add_thinking_options(app, options);
}

Result<void> set_form_option(FormOptions& options, std::string_view name, std::string_view value) {
  const bool is_off = value.empty() || value == "off";
  if (name == "budget") {
    int64_t budget = 0;
    const char* end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, budget);
    if (!is_off &&
        (error != std::errc() || stop != end || budget < 0 || budget > kMaxThinkingBudget)) {
      return fail(Code::kInvalidArgument, "/budget takes a number of tokens, or off, not '{}'",
                  value);
    }
    options.think_budget = is_off ? std::nullopt : std::optional(budget);
    return {};
  }
  if (name != "tools") {
    options.schema.clear();
    options.grammar.clear();
    options.regex.reset();
    options.choices.clear();
    options.json_object = false;
  }
  if (name == "regex") {
    if (!is_off) options.regex = value;
  } else {
    file_of(options, name) = is_off ? "" : value;
    if (name == "tools" && is_off) options.tool_choice = "auto";
  }
  return {};
}

std::string shown_form_option(const FormOptions& options, std::string_view name) {
  if (name == "budget") {
    return options.think_budget ? fmt::format("{} tokens", *options.think_budget) : "off";
  }
  if (name == "tools") return options.tools.empty() ? "off" : options.tools;
  const std::vector<Asked> asked = asked_forms(options);
  if (asked.empty()) return "off";
  return asked[0].kind == Kind::kRegex ? *options.regex : asked[0].path;
}

Result<output::FormRequest> form_request(const FormOptions& options) {
  if (options.think_budget.value_or(0) > 0 && !options.thinking.value_or(true)) {
    return fail(Code::kInvalidArgument,
                "there is a budget of {} tokens for thinking, which is switched off: leave out one "
                "of the two",
                *options.think_budget);
  }
  output::FormRequest request;
  TRY(request.format, output_format(options));
  TRY(request.tools, read_tools(options));
  request.reasoning.enable = options.thinking;
  request.reasoning.budget = options.think_budget;
  return request;
}

Result<output::AnswerForm> make_form(const FormOptions& options, const output::FormRequest& request,
                                     const chat::Prompter* prompter, output::FormTables& tables) {
  auto form = output::AnswerForm::make(request, prompter, tables);
  if (form) return form;
  std::string sources = request.format.path;
  if (request.tools.choice != Choice::kNone && !options.tools.empty()) {
    sources += (sources.empty() ? "" : " and ") + options.tools;
  }
  return fail(form.error().code, "{}{}{}", sources, sources.empty() ? "" : ": ",
              form.error().message);
}

void set_form(Conversation& conversation, const output::FormRequest& request,
              const FormOptions& options) {
  const bool calls = request.tools.choice != Choice::kNone;
  conversation.tools = calls ? request.tools.tools : boost::json::array();
  conversation.enable_thinking = options.thinking;
  conversation.system_in_user = options.system_in_user;
}

output::FormTables form_tables(const LoadedModel& loaded) {
  const model::ModelConfig& config = loaded.model.config();
  return {loaded.tokenizer, end_tokens(config, loaded.tokenizer), config.vocab_size};
}

}  // namespace hachi::cli
