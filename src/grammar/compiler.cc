#include "grammar/compiler.h"

#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "grammar/grammar_shared.h"
#include "grammar/spec_rules.h"

namespace hachi::grammar {
namespace {

// Equal for equal specs alone: each text has its length before it.
void append_key(std::string& key, const Spec& spec) {
  key += fmt::format("{} {} {} {} {}:", static_cast<int>(spec.kind), spec.min, spec.max,
                     spec.parts.size(), spec.text.size());
  key += spec.text;
  for (const Spec& part : spec.parts) append_key(key, part);
}

}  // namespace

Grammar::Grammar(std::unique_ptr<Shared> shared) : shared_(std::move(shared)) {}
Grammar::~Grammar() = default;

size_t Grammar::bytes() const {
  std::shared_ptr<Shared::Dfa> dfa;
  {
    const std::lock_guard lock(shared_->mutex);
    dfa = shared_->dfa;
  }
  const std::lock_guard lock(dfa->mutex);
  return shared_->automaton.bytes() + dfa->states.bytes();
}

struct Compiler::State {
  struct Entry {
    std::string key;
    std::shared_ptr<const Grammar> grammar;
  };

  // Drops the least recently used until the rest fits; the newest stays in any case.
  void trim() {
    size_t bytes = 0;
    auto entry = entries.begin();
    while (entry != entries.end()) {
      bytes += entry->key.size() * 2 + entry->grammar->bytes();
      if (bytes > options.cache_bytes && entry != entries.begin()) break;
      ++entry;
    }
    while (entry != entries.end()) {
      by_key.erase(entry->key);
      entry = entries.erase(entry);
    }
  }

  std::shared_ptr<const Vocabulary> vocabulary;
  CompilerOptions options;
  std::mutex mutex;          // guards all below
  std::list<Entry> entries;  // the last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key;
  uint64_t hits = 0;
  uint64_t compiled = 0;
};

Compiler::Compiler(std::shared_ptr<const Vocabulary> vocabulary, CompilerOptions options)
    : state_(std::make_unique<State>()) {
  state_->vocabulary = std::move(vocabulary);
  state_->options = options;
}

Compiler::~Compiler() = default;

Result<std::shared_ptr<const Grammar>> Compiler::compile(const Spec& spec) {
  std::string key;
  append_key(key, spec);
  {
    const std::lock_guard lock(state_->mutex);
    if (const auto found = state_->by_key.find(key); found != state_->by_key.end()) {
      ++state_->hits;
      state_->entries.splice(state_->entries.begin(), state_->entries, found->second);
      return found->second->grammar;
    }
  }
  TRY(Automaton automaton, compile_rules(spec));
  auto shared = std::make_unique<Grammar::Shared>(state_->vocabulary, std::move(automaton));
  std::shared_ptr<const Grammar> grammar(new Grammar(std::move(shared)));
  const std::lock_guard lock(state_->mutex);
  ++state_->compiled;
  if (const auto found = state_->by_key.find(key); found != state_->by_key.end()) {
    return found->second->grammar;  // another caller was faster
  }
  state_->entries.push_front({key, grammar});
  state_->by_key.emplace(std::move(key), state_->entries.begin());
  state_->trim();
  return grammar;
}

Compiler::Stats Compiler::stats() const {
  const std::lock_guard lock(state_->mutex);
  Stats stats{state_->hits, state_->compiled, state_->entries.size(), 0};
  for (const State::Entry& entry : state_->entries) stats.cached_bytes += entry.grammar->bytes();
  return stats;
}

}  // namespace hachi::grammar
