// AnswerGrammar: what the automaton of an answer asks of a grammar.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace hachi::output {

// One text under one grammar, from its beginning. One thread at a time; throws nothing.
class AnswerGrammar {
 public:
  virtual ~AnswerGrammar() = default;

  // Goes on over a token; false if the grammar does not allow it.
  virtual bool accept(tokenizer::TokenId token) = 0;
  // The same for bytes that are a part of a token.
  virtual bool accept_bytes(std::string_view bytes) = 0;

  // Sets the bits of the tokens that may come next, of the stop ids too where the text may end, and
  // clears the others.
  virtual void fill_mask(std::span<uint32_t> words) = 0;

  // The text is whole, and nothing can follow.
  virtual bool is_finished() = 0;

  // The text that must come next; empty where there is a choice.
  virtual std::string forced_text() = 0;
};

}  // namespace hachi::output
