#include "output/answer_constraint.h"

#include <algorithm>
#include <utility>

namespace hachi::output {
namespace {

using tokenizer::TokenId;

constexpr std::string_view kSpace = " \t\r\n";
// What models write between their thinking and their answer.
constexpr std::string_view kSeparator = "\n\n";

// visit(rest) for each way in which a text that ends with `held` may go on to the end of `mark`.
template <class Visit>
void for_rests(std::string_view mark, std::string_view held, const Visit& visit) {
  for (size_t begun = 0; begun <= std::min(held.size(), mark.size() - 1); ++begun) {
    if (held.ends_with(mark.substr(0, begun))) visit(mark.substr(begun));
  }
}

}  // namespace

AnswerConstraint::AnswerConstraint(std::shared_ptr<const TokenTable> table,
                                   ConstraintOptions options)
    : table_(std::move(table)),
      options_(std::move(options)),
      automaton_(table_->tokenizer(), options_.automaton),
      think_(table_->tokenizer().id(chat::kThinkBegin)),
      words_(table_->mask_words()) {
  if (!options_.grammar || options_.at_calls) return;
  phase_ = Phase::kWaiting;
  if (automaton_.is_thinking()) return;
  if (automaton_.may_think()) {
    opening_ = table_->tokenizer().encode(options_.opening);
    grammar_ = options_.grammar();
  } else {
    begin_answer("", false);
  }
}

std::span<const uint32_t> AnswerConstraint::mask() {
  if (phase_ == Phase::kGrammar) {
    grammar_->fill_mask(words_);
    return words_;
  }
  if (automaton_.lacking_bytes() > 0) return boundary_mask();
  return phase_ == Phase::kWaiting ? waiting_mask() : free_mask();
}

// The tokens that end the character at which the budget ran out.
std::span<const uint32_t> AnswerConstraint::boundary_mask() {
  std::fill(words_.begin(), words_.end(), 0u);
  bool any = false;
  table_->for_followers(automaton_.lacking_bytes(), [&](TokenId token) {
    set(token);
    any = true;
  });
  if (!any) return {};  // the vocabulary cannot tell characters apart
  return words_;
}

// Thinking: anything but the end, and no token that has the end of the thinking and the beginning
// of the answer in one. Before it: the thinking or the answer.
std::span<const uint32_t> AnswerConstraint::waiting_mask() {
  if (automaton_.may_think()) {
    std::fill(words_.begin(), words_.end(), 0u);
    if (opening_.empty()) {
      grammar_->fill_mask(words_);
    } else {
      set(opening_.front());
    }
    if (think_) set(*think_);
    return words_;
  }
  std::fill(words_.begin(), words_.end(), ~0u);
  for (const TokenId token : options_.stop_ids) clear(token);
  for_rests(chat::kThinkEnd, automaton_.fields().held(), [&](std::string_view rest) {
    table_->for_prefix(rest, [&](TokenId token, std::string_view bytes) {
      if (bytes.find_first_not_of(kSpace, rest.size()) != std::string_view::npos) clear(token);
    });
  });
  return words_;
}

// No token that ends a call's trigger and goes on in a way that the grammar may not allow.
std::span<const uint32_t> AnswerConstraint::free_mask() {
  if (!options_.at_calls || options_.trigger.empty()) return {};
  const FieldSplitter& fields = automaton_.fields();
  if (fields.is_thinking()) return {};
  bool any = false;
  for_rests(options_.trigger, fields.held(), [&](std::string_view rest) {
    table_->for_prefix(rest, [&](TokenId token, std::string_view bytes) {
      if (options_.opening.starts_with(bytes.substr(rest.size()))) return;
      if (!any) std::fill(words_.begin(), words_.end(), ~0u);
      any = true;
      clear(token);
    });
  });
  if (!any) return {};
  return words_;
}

std::optional<int32_t> AnswerConstraint::forced() {
  if (!automaton_.forced().empty()) return automaton_.forced().front();
  if (phase_ == Phase::kOpening) return opening_[num_opened_];
  return std::nullopt;
}

int64_t AnswerConstraint::forced_run(std::span<int32_t> out) {
  size_t count = 0;
  const auto add = [&](std::span<const TokenId> tokens) {
    const size_t fits = std::min(tokens.size(), out.size() - count);
    std::copy_n(tokens.begin(), fits, out.begin() + static_cast<ptrdiff_t>(count));
    count += fits;
  };
  add(automaton_.forced());
  if (phase_ == Phase::kOpening) add(std::span(opening_).subspan(num_opened_));
  const bool at_grammar = phase_ == Phase::kOpening || phase_ == Phase::kGrammar;
  if (at_grammar && count < out.size()) {
    add(table_->tokenizer().encode(grammar_->forced_text(), {.parse_special = false}));
  }
  return static_cast<int64_t>(count);
}

void AnswerConstraint::accept(int32_t token) {
  const bool was_forced = !automaton_.forced().empty();
  const bool was_open = automaton_.may_think();
  automaton_.accept(token);
  switch (phase_) {
    case Phase::kFree:
      return accept_free();
    case Phase::kWaiting:
      return accept_waiting(token, was_forced, was_open);
    case Phase::kOpening:
      if (!was_forced) ++num_opened_;
      break;
    case Phase::kGrammar:
      return accept_grammar(token);
  }
  if (num_opened_ == opening_.size() && automaton_.forced().empty()) phase_ = Phase::kGrammar;
}

void AnswerConstraint::accept_waiting(int32_t token, bool was_forced, bool was_open) {
  if (was_open && !was_forced && token != think_) {
    // The answer begins without thinking.
    if (opening_.empty()) {
      phase_ = Phase::kGrammar;
      return accept_grammar(token);
    }
    num_opened_ = 1;
    phase_ = num_opened_ == opening_.size() ? Phase::kGrammar : Phase::kOpening;
    return;
  }
  if (automaton_.may_think() || automaton_.is_thinking()) return;
  const std::string_view bytes = automaton_.new_bytes();
  const bool has_space = !bytes.empty() && kSpace.find(bytes.back()) != std::string_view::npos;
  begin_answer(automaton_.fields().new_answer(), !was_forced && !has_space);
}

void AnswerConstraint::accept_free() {
  if (!options_.at_calls || !automaton_.fields().new_call()) return;
  begin_call(*automaton_.fields().new_call());
}

void AnswerConstraint::accept_grammar(int32_t token) {
  is_over_ = is_over_ || !grammar_->accept(token);
  if (!grammar_->is_finished()) return;
  if (!options_.at_calls || options_.one_call) is_over_ = true;
  if (options_.at_calls) phase_ = Phase::kFree;
}

// `text` is what came with the end of the thinking; `separate`: nothing stands between them yet.
void AnswerConstraint::begin_answer(std::string_view text, bool separate) {
  const tokenizer::Tokenizer& tokenizer = table_->tokenizer();
  opening_.clear();
  num_opened_ = 0;
  if (separate && text.empty()) opening_ = tokenizer.encode(kSeparator);
  const auto opening = tokenizer.encode(options_.opening);
  opening_.insert(opening_.end(), opening.begin(), opening.end());
  grammar_ = options_.grammar();
  if (!text.empty() && (!opening_.empty() || !grammar_->accept_bytes(text))) is_over_ = true;
  const bool opens = !opening_.empty() || !automaton_.forced().empty();
  phase_ = opens ? Phase::kOpening : Phase::kGrammar;
}

// `text` is what came with the end of the trigger. A call that has gone another way already is left
// alone: its reader will see.
void AnswerConstraint::begin_call(std::string_view text) {
  grammar_ = options_.grammar();
  if (!text.empty() && !grammar_->accept_bytes(text)) return;
  phase_ = Phase::kGrammar;
}

bool AnswerConstraint::finished() const {
  return is_over_ || (phase_ == Phase::kGrammar && !options_.at_calls && grammar_->is_finished());
}

void AnswerConstraint::clear(int32_t token) {
  if (token >= table_->vocab_size()) return;
  words_[static_cast<size_t>(token) / 32] &= ~(uint32_t{1} << (token % 32));
}

void AnswerConstraint::set(int32_t token) {
  if (token >= table_->vocab_size()) return;
  words_[static_cast<size_t>(token) / 32] |= uint32_t{1} << (token % 32);
}

}  // namespace hachi::output
