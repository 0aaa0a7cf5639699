// What a Grammar holds, for the compiler that makes it and the matchers that run on it.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "grammar/automaton.h"
#include "grammar/compiler.h"
#include "grammar/lazy_dfa.h"

namespace hachi::grammar {

struct Grammar::Shared {
  Shared(std::shared_ptr<const Vocabulary> its_vocabulary, Automaton its_automaton)
      : vocabulary(std::move(its_vocabulary)),
        automaton(std::move(its_automaton)),
        dfa(make_dfa()) {}

  // The states of some matchers, and who may look at them.
  struct Dfa {
    Dfa(const Automaton& automaton, const Vocabulary& vocabulary)
        : states(automaton, vocabulary.trie(), vocabulary.mask_words()) {}
    std::mutex mutex;  // guards states
    LazyDfa states;
  };

  std::shared_ptr<Dfa> make_dfa() const { return std::make_shared<Dfa>(automaton, *vocabulary); }

  std::shared_ptr<const Vocabulary> vocabulary;
  Automaton automaton;
  mutable std::mutex mutex;  // guards dfa
  std::shared_ptr<Dfa> dfa;  // the one for new matchers; older ones live as long as theirs
};

}  // namespace hachi::grammar
