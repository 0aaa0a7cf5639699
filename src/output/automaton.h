// Automaton: where one answer stands: thinking, content or a tool call, and whether its thinking
// budget is spent. A function of its options and the tokens alone, so that two of them, one behind
// the engine's constraint and one where the text goes out, always agree.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "output/fields.h"
#include "tokenizer/tokenizer.h"

namespace hachi::output {

inline constexpr int64_t kNoBudget = -1;

// What a model whose thinking is cut off is made to say last.
inline constexpr std::string_view kClosingWords =
    "\n\nI have thought about this for long enough and will answer with what I have.";

struct AutomatonOptions {
  FieldOptions fields;
  bool thinks = true;                   // the model may begin to think by itself
  int64_t thinking_budget = kNoBudget;  // tokens of thinking; then it is closed
  std::string_view closing =
      kClosingWords;  // before the mark that closes it; not if the budget is 0
};

// The special tokens that are marks of thinking or of calls: their text counts, whatever becomes of
// the other special tokens.
class MarkTokens {
 public:
  MarkTokens(const tokenizer::Tokenizer& tokenizer, const FieldOptions& options);
  bool contains(tokenizer::TokenId token) const;

 private:
  std::vector<tokenizer::TokenId> ids_;
};

class Automaton {
 public:
  // The tokenizer outlives it; the texts of the options need not.
  Automaton(const tokenizer::Tokenizer& tokenizer, const AutomatonOptions& options);

  // The next token of the answer, without the one that ends it.
  void accept(tokenizer::TokenId token);

  const FieldSplitter& fields() const { return fields_; }
  bool is_thinking() const { return fields_.is_thinking(); }
  // It is open whether the model thinks first.
  bool may_think() const { return thinks_ && fields_.may_think(); }

  // The tokens that come next whatever the model says: they close the thinking.
  std::span<const tokenizer::TokenId> forced() const;
  // The budget is spent within a character: bytes that it lacks, after which the thinking is
  // closed. 0: none.
  int lacking_bytes() const { return waits_ ? lacking_ : 0; }
  // The thinking was closed before the model closed it.
  bool is_budget_spent() const { return spent_; }

  // The bytes that the last token added.
  std::string_view new_bytes() const { return new_bytes_; }

 private:
  void count_bytes();
  void watch_budget();
  void close();

  const tokenizer::Tokenizer* tokenizer_;
  MarkTokens marks_;
  FieldSplitter fields_;
  bool thinks_;
  int64_t budget_;
  std::string closing_;
  std::string new_bytes_;
  std::vector<Piece> pieces_;  // what this one says of the text, which nobody asks for
  int64_t num_thinking_ = 0;
  int lacking_ = 0;  // bytes of the last character that have not come
  bool waits_ = false;
  bool spent_ = false;
  std::vector<tokenizer::TokenId> forced_;
  size_t num_forced_ = 0;  // of forced_, that came
};

}  // namespace hachi::output
