// Compiler: specs into grammars that matchers run on, within limits of time and memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/result.h"
#include "grammar/spec.h"
#include "grammar/vocabulary.h"

namespace hachi::grammar {

// A compiled spec. Immutable, shared by the matchers that run on it and the compiler's cache.
class Grammar {
 public:
  ~Grammar();
  size_t bytes() const { return bytes_; }

 private:
  friend class Compiler;
  friend class Matcher;
  struct Compiled;
  Grammar(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const Compiled> compiled);

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const Compiled> compiled_;
  size_t bytes_ = 0;
};

struct CompilerOptions {
  // After this the caller gets an error; the thread goes on to its end, and the grammar is cached.
  std::chrono::milliseconds deadline{10'000};
  size_t cache_bytes = size_t{64} << 20;  // of grammars, the least recently used go first
  int num_threads = 2;                    // at most this many compile at a time
  int max_waiting = 32;                   // specs that wait for a thread; more are refused
};

// All threads may call at a time. One for each vocabulary.
class Compiler {
 public:
  explicit Compiler(std::shared_ptr<const Vocabulary> vocabulary, CompilerOptions options = {});
  // Waits for the threads, at most as long as the largest accepted spec takes (about a second).
  ~Compiler();
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  // Blocks the caller until the grammar is there or the deadline has passed. A spec that is being
  // compiled for another caller is waited for, not compiled twice. Fails as check() does, and with
  // kLimit when the deadline passed or too many wait.
  Result<std::shared_ptr<const Grammar>> compile(const Spec& spec);

  struct Stats {
    uint64_t hits = 0;      // found in the cache
    uint64_t joined = 0;    // waited for another caller's
    uint64_t compiled = 0;  // done by a thread
    size_t cached_bytes = 0;
  };
  Stats stats() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hachi::grammar
