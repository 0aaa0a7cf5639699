// Compiler: specs into grammars that matchers run on. What is compiled stays small and takes
// milliseconds, because the checks bound it first and masks are computed only where a text comes
// (lazy_dfa.h); so a caller compiles in its own thread, and nothing needs a deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/result.h"
#include "grammar/spec.h"
#include "grammar/vocabulary.h"

namespace hachi::grammar {

// A compiled spec, with the masks that its matchers have needed so far. All threads may share one.
class Grammar {
 public:
  ~Grammar();
  // What it takes at present; it grows, within a bound, as texts come to new places.
  size_t bytes() const;

 private:
  friend class Compiler;
  friend class Matcher;
  struct Shared;
  explicit Grammar(std::unique_ptr<Shared> shared);
  std::unique_ptr<Shared> shared_;
};

struct CompilerOptions {
  // Of grammars; the least recently used go first. Those that a matcher runs on stay with it.
  size_t cache_bytes = size_t{128} << 20;
};

// All threads may call at a time. One for each vocabulary.
class Compiler {
 public:
  explicit Compiler(std::shared_ptr<const Vocabulary> vocabulary, CompilerOptions options = {});
  ~Compiler();
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  // Fails as check() does.
  Result<std::shared_ptr<const Grammar>> compile(const Spec& spec);

  struct Stats {
    uint64_t hits = 0;  // found in the cache
    uint64_t compiled = 0;
    size_t cached_grammars = 0;
    size_t cached_bytes = 0;
  };
  Stats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hachi::grammar
