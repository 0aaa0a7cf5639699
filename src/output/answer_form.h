// AnswerForm: what one answer has to look like and how its text is read: the request's format,
// tools and budget for thoughts against what the model does by itself. The server and the command
// line share it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/output_format.h"
#include "api/reasoning.h"
#include "api/tools.h"
#include "chat/prompter.h"
#include "core/result.h"
#include "engine/constraint.h"
#include "grammar/compiler.h"
#include "output/automaton.h"
#include "output/token_table.h"

namespace hachi::output {

// What a model needs for guided answers, made when the first one asks; any thread.
class FormTables {
 public:
  // The tokenizer outlives it. `vocab_size` counts the logits of the model.
  FormTables(const tokenizer::Tokenizer& tokenizer, std::vector<tokenizer::TokenId> stop_ids,
             int64_t vocab_size);

  const std::vector<tokenizer::TokenId>& stop_ids() const { return stop_ids_; }
  std::shared_ptr<const TokenTable> token_table();
  // As grammar::Compiler::compile; the first call takes some tenths of a second more.
  Result<std::shared_ptr<const grammar::Grammar>> compile(const grammar::Spec& spec);

 private:
  const tokenizer::Tokenizer* tokenizer_;
  std::vector<tokenizer::TokenId> stop_ids_;
  int64_t vocab_size_;
  std::mutex mutex_;
  std::shared_ptr<const TokenTable> table_;
  std::shared_ptr<grammar::Compiler> compiler_;
};

struct FormRequest {
  api::OutputFormat format;
  api::ToolFields tools;
  api::ReasoningFields reasoning;
  int64_t thinking_budget = kNoBudget;  // where the request has neither budget nor effort
  bool split_thinking = true;           // false: marks of thinking and of calls are content
};

// Tokens of thinking for a word of effort; kNoBudget for "" and the highest ones.
int64_t budget_of_effort(std::string_view effort);

class AnswerForm {
 public:
  // `prompter` is null for a model without a chat template, which neither thinks nor calls. Fails
  // with kInvalidArgument or kLimit if the format or a tool's schema cannot be held to. Compiles
  // grammars: not for a thread that must not wait.
  static Result<AnswerForm> make(const FormRequest& request, const chat::Prompter* prompter,
                                 FormTables& tables);

  // For AnswerText; `prompt` is what the answer goes on from, and outlives the options.
  AutomatonOptions automaton(std::string_view prompt) const;
  // For the engine; null if the answer is free. `stop_ids` are those of the request.
  std::unique_ptr<engine::Constraint> constraint(
      std::string_view prompt, const std::vector<tokenizer::TokenId>& stop_ids) const;

 private:
  AnswerForm() = default;

  Result<void> hold_to_format(const api::OutputFormat& format, FormTables& tables);
  Result<void> hold_to_calls(const api::ToolFields& tools, const api::OutputFormat& format,
                             FormTables& tables);

  AutomatonOptions automaton_;
  std::shared_ptr<const TokenTable> table_;  // null: no constraint
  std::shared_ptr<const grammar::Grammar> grammar_;
  std::string opening_, trigger_;
  bool at_calls_ = false, one_call_ = false;
};

}  // namespace hachi::output
