#include "output/answer_form.h"

#include <utility>

#include "grammar/matcher.h"
#include "output/answer_constraint.h"

namespace hachi::output {
namespace {

// A grammar's matcher as the automaton asks of it.
class MatcherGrammar : public AnswerGrammar {
 public:
  explicit MatcherGrammar(std::shared_ptr<const grammar::Grammar> grammar)
      : matcher_(std::move(grammar)) {}

  bool accept(tokenizer::TokenId token) override { return matcher_.accept(token); }
  bool accept_bytes(std::string_view bytes) override { return matcher_.accept_bytes(bytes); }
  void fill_mask(std::span<uint32_t> words) override { matcher_.fill_mask(words); }
  bool is_finished() override { return matcher_.is_finished(); }
  std::string forced_text() override { return matcher_.forced_text(); }

 private:
  grammar::Matcher matcher_;
};

std::optional<grammar::Spec> spec_of(const api::OutputFormat& format) {
  using Kind = api::OutputFormat::Kind;
  switch (format.kind) {
    case Kind::kText:
      return std::nullopt;
    case Kind::kJsonObject:
      return grammar::Spec::json_object();
    case Kind::kJsonSchema:
      return grammar::Spec::json_schema(format.text);
    case Kind::kRegex:
      return grammar::Spec::regex(format.text);
    case Kind::kGrammar:
      return grammar::Spec::ebnf(format.text);
    case Kind::kChoice:
      return grammar::Spec::choice(format.choices);
  }
  return std::nullopt;
}

// The calls without what opens them.
grammar::Spec spec_of(const chat::CallGrammar& calls) {
  using grammar::Spec;
  std::vector<Spec> any;
  for (const auto& call : calls.calls) {
    any.push_back(Spec::sequence(
        {Spec::literal(call.before), Spec::json_schema(call.schema), Spec::literal(call.after)}));
  }
  std::vector<Spec> all = {Spec::one_of(any)};
  if (calls.max_calls > 1) {
    all.push_back(Spec::repeat(Spec::sequence({Spec::literal(calls.again), Spec::one_of(any)}), 0,
                               calls.max_calls - 1));
  }
  if (!calls.close.empty()) all.push_back(Spec::literal(calls.close));
  return Spec::sequence(std::move(all));
}

int64_t budget_of(const FormRequest& request) {
  const api::ReasoningFields& reasoning = request.reasoning;
  if (reasoning.budget) {
    return *reasoning.budget == api::kNoThinkingLimit ? kNoBudget : *reasoning.budget;
  }
  if (!reasoning.effort.empty()) return budget_of_effort(reasoning.effort);
  return request.thinking_budget;
}

}  // namespace

int64_t budget_of_effort(std::string_view effort) {
  if (effort == "none") return 0;
  if (effort == "minimal") return 256;
  if (effort == "low") return 1024;
  if (effort == "medium") return 4096;
  if (effort == "high") return 16384;
  return kNoBudget;
}

FormTables::FormTables(const tokenizer::Tokenizer& tokenizer,
                       std::vector<tokenizer::TokenId> stop_ids, int64_t vocab_size)
    : tokenizer_(&tokenizer), stop_ids_(std::move(stop_ids)), vocab_size_(vocab_size) {}

std::shared_ptr<const TokenTable> FormTables::token_table() {
  const std::scoped_lock lock(mutex_);
  if (!table_) table_ = std::make_shared<TokenTable>(*tokenizer_, vocab_size_);
  return table_;
}

Result<std::shared_ptr<const grammar::Grammar>> FormTables::compile(const grammar::Spec& spec) {
  std::shared_ptr<grammar::Compiler> compiler;
  {
    const std::scoped_lock lock(mutex_);
    if (!compiler_) {
      TRY(auto vocabulary,
          grammar::Vocabulary::make(*tokenizer_, stop_ids_, static_cast<int32_t>(vocab_size_)));
      compiler_ = std::make_shared<grammar::Compiler>(std::move(vocabulary));
    }
    compiler = compiler_;
  }
  return compiler->compile(spec);
}

Result<AnswerForm> AnswerForm::make(const FormRequest& request, const chat::Prompter* prompter,
                                    FormTables& tables) {
  AnswerForm form;
  form.automaton_.fields.split_thinking = request.split_thinking && prompter != nullptr;
  form.automaton_.thinks = form.automaton_.fields.split_thinking && prompter->thinks() &&
                           request.reasoning.enable.value_or(true);
  form.automaton_.thinking_budget = budget_of(request);
  const bool calls = prompter != nullptr && !request.tools.tools.empty() &&
                     request.tools.choice != api::ToolFields::Choice::kNone;
  if (calls) {
    form.automaton_.fields.calls = prompter->tool_format().style;
    TRY(form.hold_to_calls(request.tools, request.format, tables));
  } else {
    TRY(form.hold_to_format(request.format, tables));
  }
  if (form.grammar_ || form.automaton_.thinking_budget != kNoBudget) {
    form.table_ = tables.token_table();
  }
  return form;
}

Result<void> AnswerForm::hold_to_format(const api::OutputFormat& format, FormTables& tables) {
  const auto spec = spec_of(format);
  if (!spec) return {};
  TRY(grammar_, tables.compile(*spec));
  return {};
}

Result<void> AnswerForm::hold_to_calls(const api::ToolFields& tools,
                                       const api::OutputFormat& format, FormTables& tables) {
  const bool is_auto = tools.choice == api::ToolFields::Choice::kAuto;
  const chat::ToolStyle style = *automaton_.fields.calls;
  const auto spec = spec_of(format);
  // Beside a format a call is one of the things that the answer may be from its beginning on.
  TRY(const chat::CallGrammar calls,
      chat::call_grammar(style, tools.tools,
                         is_auto && !spec ? chat::ToolChoice::kAuto : chat::ToolChoice::kRequired,
                         tools.name, tools.parallel));
  grammar::Spec wanted = spec_of(calls);
  if (is_auto && spec) {
    wanted = grammar::Spec::one_of(
        {*spec, grammar::Spec::sequence({grammar::Spec::literal(calls.opening), wanted})});
  } else {
    opening_ = calls.opening;
    trigger_ = calls.trigger;
    at_calls_ = is_auto;
    if (is_auto) {
      wanted = grammar::Spec::sequence({grammar::Spec::literal(calls.opening), wanted});
    }
    one_call_ = is_auto && !tools.parallel;
  }
  TRY(grammar_, tables.compile(wanted));
  return {};
}

AutomatonOptions AnswerForm::automaton(std::string_view prompt) const {
  AutomatonOptions options = automaton_;
  options.fields.prompt = prompt;
  return options;
}

std::unique_ptr<engine::Constraint> AnswerForm::constraint(
    std::string_view prompt, const std::vector<tokenizer::TokenId>& stop_ids) const {
  if (!table_) return nullptr;
  ConstraintOptions options;
  options.automaton = automaton(prompt);
  options.stop_ids = stop_ids;
  if (grammar_) {
    options.grammar = [grammar = grammar_] { return std::make_unique<MatcherGrammar>(grammar); };
  }
  options.opening = opening_;
  options.trigger = trigger_;
  options.at_calls = at_calls_;
  options.one_call = one_call_;
  return std::make_unique<AnswerConstraint>(table_, std::move(options));
}

}  // namespace hachi::output
