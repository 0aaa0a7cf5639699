// Constraint: what an answer may say, token by token: a grammar, a thinking budget, a tool call
// that must come. The engine asks it and knows nothing of texts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace hachi::engine {

// Of one request, and a function of the tokens that it has accepted alone. One thread at a time; it
// must be quick, and throw nothing.
class Constraint {
 public:
  virtual ~Constraint() = default;

  // Bit i % 32 of word i / 32 says whether token i may come next; tokens behind the last word may
  // not. An empty span: all may. No bit: nothing can follow, and the answer ends. Valid until the
  // next call.
  virtual std::span<const uint32_t> mask() = 0;

  // The token that comes next whatever the model says; it is not drawn. If the model has no such
  // token, the answer ends.
  virtual std::optional<int32_t> forced() = 0;

  // The tokens that will come next, as far as that is known, into `out`; returns how many. They are
  // a guess for speculation and nothing more: each is still drawn under its own mask.
  virtual int64_t forced_run(std::span<int32_t> out) = 0;

  // The token came. Never called with a token that ended the answer.
  virtual void accept(int32_t token) = 0;

  // The answer is over and no token follows.
  virtual bool finished() const = 0;
};

// What may come next.
struct NextToken {
  bool ends = false;               // nothing: the answer ends
  std::optional<int32_t> forced;   // this, and nothing is drawn
  std::span<const uint32_t> mask;  // as Constraint::mask(); some bit is set, or it is empty
};

// Under `constraint`; null: none.
NextToken next_token(Constraint* constraint, int64_t vocab_size);

}  // namespace hachi::engine
