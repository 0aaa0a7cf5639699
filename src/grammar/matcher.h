// Matcher: where one output stands in its grammar, and which tokens may come next.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "grammar/compiler.h"

namespace hachi::grammar {

// One output of one request; one thread at a time. Waits only for other matchers of the same
// grammar that are in a call. Allocates where a text comes to a place that none of its grammar came
// to before.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<const Grammar> grammar);
  Matcher(Matcher&&) noexcept;
  Matcher& operator=(Matcher&&) noexcept;
  ~Matcher();

  // Goes on over a token; false if the grammar does not allow it, and nothing has changed. A stop
  // id is allowed where the text may end, and finishes the matcher.
  bool accept(TokenId token);
  // The same for bytes that are no token of this output, such as a forced tag.
  bool accept_bytes(std::string_view bytes);

  // Bit i % 32 of word i / 32 says whether token i may come next; the bits after the last token are
  // 0. `words` has vocabulary().mask_words() words. A stop id may come where the text may end, and
  // where the vocabulary has no token that goes on.
  void fill_mask(std::span<uint32_t> words);

  // Whether the text may end here. There may be more to come all the same.
  bool can_end() const;
  // Whether nothing can come but the end: a stop id came, or the text is whole and cannot go on.
  bool is_finished();

  // The text that must come next whatever the model wants; empty where there is a choice, or where
  // the text may end. At most kMaxForcedBytes; may end within a character.
  std::string forced_text();
  static constexpr size_t kMaxForcedBytes = 4096;

  // Takes back the last `steps` successful accepts (of tokens or bytes), at most num_steps(): the
  // last kMaxRollback at least are kept.
  void rollback(int steps);
  int num_steps() const;
  static constexpr int kMaxRollback = 256;
  // A second matcher at the same place, which goes its own way.
  Matcher clone() const;

  const Vocabulary& vocabulary() const;

 private:
  struct State;
  explicit Matcher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hachi::grammar
