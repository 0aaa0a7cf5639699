#include "cli/agent_model.h"

#include <utility>

#include <boost/json.hpp>

#include "grammar/spec.h"

namespace hachi::cli {
namespace {

// The tools as grammars take them: each is strict, so that its schema holds in any call, or has no
// schema to hold to if that one cannot be enforced, as those of foreign servers may be.
boost::json::array strict_tools(const boost::json::array& tools, output::FormTables& tables) {
  boost::json::array strict = tools;
  for (boost::json::value& tool : strict) {
    boost::json::object& function = tool.as_object().at("function").as_object();
    boost::json::value& parameters = function["parameters"];
    const auto compiled =
        tables.compile(grammar::Spec::json_schema(boost::json::serialize(parameters)));
    if (!compiled) parameters = boost::json::object{{"type", "object"}};
    function["strict"] = true;
  }
  return strict;
}

}  // namespace

Result<LocalModel> LocalModel::create(const LoadedModel& loaded, engine::Session& session,
                                      const chat::Prompter& prompter,
                                      const boost::json::array& tools,
                                      const LocalModelOptions& options, OnPiece on_piece) {
  output::FormTables tables = form_tables(loaded);
  output::FormRequest request = options.request;
  request.tools.tools = strict_tools(tools, tables);
  request.tools.choice = api::ToolFields::Choice::kAuto;
  TRY(output::AnswerForm free, make_form(options.form, request, &prompter, tables));
  request.tools.parallel = false;
  std::vector<output::AnswerForm> first;
  for (const std::string& name : options.first_calls) {
    const bool is_any = name == kAnyTool;
    request.tools.choice =
        is_any ? api::ToolFields::Choice::kRequired : api::ToolFields::Choice::kNamed;
    request.tools.name = is_any ? "" : name;
    TRY(output::AnswerForm form, make_form(options.form, request, &prompter, tables));
    first.push_back(std::move(form));
  }
  output::AnswerForm last = free;
  if (request.format.kind != api::OutputFormat::Kind::kText) {
    request.tools.choice = api::ToolFields::Choice::kNone;
    TRY(last, make_form(options.form, request, &prompter, tables));
  }
  return LocalModel(loaded, session, prompter, options, std::move(on_piece), std::move(first),
                    std::move(free), std::move(last));
}

LocalModel::LocalModel(const LoadedModel& loaded, engine::Session& session,
                       const chat::Prompter& prompter, LocalModelOptions options, OnPiece on_piece,
                       std::vector<output::AnswerForm> first, output::AnswerForm free,
                       output::AnswerForm last)
    : loaded_(loaded),
      session_(session),
      prompter_(prompter),
      options_(std::move(options)),
      on_piece_(std::move(on_piece)),
      first_(std::move(first)),
      free_(std::move(free)),
      last_(std::move(last)) {}

const output::AnswerForm& LocalModel::form_of(size_t step) const {
  if (step < first_.size()) return first_[step];
  return step + 1 < options_.max_steps ? free_ : last_;
}

Result<agent::AssistantTurn> LocalModel::answer(const boost::json::array& messages,
                                                const boost::json::array& tools,
                                                const agent::CallContext& context) {
  chat::RenderInput input;
  input.messages = messages;
  input.tools = tools;
  input.enable_thinking = options_.form.thinking;
  input.system_in_user = options_.form.system_in_user;
  TRY(chat::Prompter::TokenPrompt prompt, prompter_.prompt(loaded_.tokenizer, std::move(input)));
  const AnswerRequest request{.prompt = std::move(prompt.tokens),
                              .prompt_text = std::move(prompt.text),
                              .sampling = options_.sampling,
                              .form = &form_of(num_answers_++),
                              .context = context};
  TRY(Answer said, cli::answer(loaded_, session_, request, options_.quiet, on_piece_));
  cached_tokens_ += said.stats.cached_tokens;
  agent::AssistantTurn turn;
  turn.reasoning = std::move(said.thinking);
  turn.content = std::move(said.text);
  turn.calls = std::move(said.calls);
  if (said.stats.finish != engine::Finish::kStop) turn.finish = agent::Finish::kLength;
  turn.prompt_tokens = static_cast<uint64_t>(said.stats.prompt_tokens);
  turn.completion_tokens = static_cast<uint64_t>(said.stats.generated_tokens);
  return turn;
}

}  // namespace hachi::cli
