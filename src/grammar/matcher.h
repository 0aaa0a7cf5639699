// Matcher: where one output stands in its grammar, and which tokens may come next.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "grammar/compiler.h"

namespace hachi::grammar {

// One output of one request; one thread at a time. Nothing here throws or blocks. After an error of
// the library behind (which is a bug) the matcher is finished and allows nothing but the stop ids.
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
  // 0. `words` has vocabulary().mask_words() words. At least one bit is set: where nothing else may
  // come, those of the stop ids.
  void fill_mask(std::span<uint32_t> words);

  // Whether the text may end here. There may be more to come all the same.
  bool can_end() const;
  // Whether nothing can come but the end: a stop id came, or the text is whole and cannot go on.
  bool is_finished() const;

  // The text that must come next whatever the model wants; empty where there is a choice, or where
  // the text may end. At most kMaxForcedBytes.
  std::string forced_text();
  static constexpr size_t kMaxForcedBytes = 4096;

  // Takes back the last `steps` successful accepts (of tokens or bytes), at most num_steps().
  void rollback(int steps);
  int num_steps() const;
  // A second matcher at the same place, which goes its own way.
  Matcher clone() const;

  const Vocabulary& vocabulary() const;

 private:
  struct State;
  explicit Matcher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hachi::grammar
