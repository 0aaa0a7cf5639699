// AnswerConstraint: what the engine may draw for one answer: nothing but the grammar's tokens once
// the thinking is over, and the end of the thinking once its budget is spent.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/constraint.h"
#include "output/answer_grammar.h"
#include "output/automaton.h"
#include "output/token_table.h"

namespace hachi::output {

struct ConstraintOptions {
  // The same as those of the answer's AnswerText.
  AutomatonOptions automaton;
  // They end the answer; with a grammar that the answer begins with, not while it thinks.
  std::vector<tokenizer::TokenId> stop_ids;
  // Makes the grammar at its beginning; called again for each call if `at_calls`. Empty: none.
  std::function<std::unique_ptr<AnswerGrammar>()> grammar;
  // Comes before what the grammar matches, as tokens: it may hold special ones.
  std::string opening;
  // The grammar begins behind the trigger of a tool call, if the model writes one, and ends with
  // the call. `opening` is then the text that the grammar begins with.
  bool at_calls = false;
  std::string trigger;
  bool one_call = false;  // at_calls: the answer ends with its first call
};

class AnswerConstraint : public engine::Constraint {
 public:
  AnswerConstraint(std::shared_ptr<const TokenTable> table, ConstraintOptions options);

  std::span<const uint32_t> mask() override;
  std::optional<int32_t> forced() override;
  int64_t forced_run(std::span<int32_t> out) override;
  void accept(int32_t token) override;
  bool finished() const override;

  const Automaton& automaton() const { return automaton_; }

 private:
  enum class Phase {
    kFree,     // no grammar yet, or none at all
    kWaiting,  // the grammar begins with the answer, which has not begun
    kOpening,  // forced text before the grammar
    kGrammar,
  };

  void accept_waiting(int32_t token, bool was_forced, bool was_open);
  void accept_free();
  void accept_grammar(int32_t token);
  void begin_answer(std::string_view text, bool separate);
  void begin_call(std::string_view text);

  std::span<const uint32_t> boundary_mask();
  std::span<const uint32_t> waiting_mask();
  std::span<const uint32_t> free_mask();
  void clear(int32_t token);
  void set(int32_t token);

  std::shared_ptr<const TokenTable> table_;
  ConstraintOptions options_;
  Automaton automaton_;
  std::optional<tokenizer::TokenId> think_;  // the token that begins the thinking
  std::vector<tokenizer::TokenId> opening_;  // what is left of it, with what stands before
  size_t num_opened_ = 0;
  std::unique_ptr<AnswerGrammar> grammar_;
  Phase phase_ = Phase::kFree;
  bool is_over_ = false;
  std::vector<uint32_t> words_;
};

}  // namespace hachi::output
