// LazyDfa: the states that texts of one grammar reach, made when a text first comes there, each
// with the tokens that may come next. What a regular-expression engine calls a lazy DFA, with a
// stack.
//
// A state is a set of places: a state of the automaton and the stack of rules to go on with after
// the end of this one. Sets and stacks that are equal are one, so a string of any length, or a list
// of any number of items, goes through the same few states, and their masks are computed once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/token_trie.h"
#include "grammar/utf8_ranges.h"

namespace hachi::grammar {

// Places of one state; what a grammar more ambiguous than this would have beyond is left out, so
// that it allows less, never more.
inline constexpr size_t kMaxPlaces = 512;
// New states that one mask may make; where that is not enough, only tokens of kShortTokenBytes are
// tried, so that no grammar makes a step long.
inline constexpr size_t kMaxStatesPerMask = 20'000;
inline constexpr int kShortTokenBytes = 2;
// After this a matcher goes on in a fresh LazyDfa.
inline constexpr size_t kMaxDfaBytes = size_t{24} << 20;

// One thread at a time.
class LazyDfa {
 public:
  using StateId = int32_t;
  static constexpr StateId kDead = -1;  // no text goes on from here

  // Both must outlive it.
  LazyDfa(const Automaton& automaton, const TokenTrie& trie, size_t mask_words);

  StateId start() const { return start_; }
  StateId next(StateId state, uint8_t byte) {
    const StateId known = transitions_[index(state, byte)];
    return known != kUnknown ? known : make_next(state, byte);
  }
  bool can_end(StateId state) const { return states_[static_cast<size_t>(state)].can_end; }
  // The tokens all of whose bytes can follow. Valid until the next call.
  std::span<const uint32_t> mask(StateId state);

  size_t bytes() const;

  // A state as it is written down to be carried to another LazyDfa of the same automaton.
  struct Place {
    Automaton::StateId state;
    std::vector<Automaton::StateId> stack;  // the innermost first
  };
  std::vector<Place> places(StateId state) const;
  StateId import(std::span<const Place> places, bool can_end);

 private:
  static constexpr StateId kUnknown = -2;
  using StackId = int32_t;  // 0: empty

  struct Stack {
    Automaton::StateId back_to;
    StackId below;
    int depth;
  };
  struct PlaceId {
    Automaton::StateId state;
    StackId stack;
    bool operator==(const PlaceId&) const = default;
    uint64_t key() const {
      return static_cast<uint64_t>(static_cast<uint32_t>(state)) << 32 |
             static_cast<uint32_t>(stack);
    }
  };
  struct State {
    uint32_t begin;  // of its places
    uint32_t count;
    int32_t mask = -1;  // its place in masks_, in masks; -1: not computed
    bool can_end;
  };

  size_t index(StateId state, uint8_t byte) const {
    return static_cast<size_t>(state) * num_classes_ + automaton_->byte_class(byte);
  }
  StateId make_next(StateId state, uint8_t byte);
  StackId push(Automaton::StateId back_to, StackId below);
  void add(Automaton::StateId state, StackId stack);
  // Takes the places in work_, adds all that they reach without a byte, and finds or makes the
  // state of those that read a byte.
  StateId close_and_intern();
  StateId intern(bool can_end);
  bool walk(StateId state, std::span<const TokenTrie::Node> nodes, int max_bytes, uint32_t* mask);
  // The one state that every plain character leads to, or kDead if they lead to several or nowhere.
  StateId after_plain(StateId state);
  bool all_lead_to(StateId state, const ByteSequence& bytes, int at, StateId& target);
  // Whether any plain characters, `count` in all, lead on from a state.
  bool takes_plain(StateId state, int count);

  const Automaton* automaton_;
  const TokenTrie* trie_;
  size_t mask_words_;
  size_t num_classes_;
  StateId start_;
  std::vector<State> states_;
  std::vector<PlaceId> places_;
  std::vector<StateId> transitions_;  // by state and byte class
  std::vector<StateId> after_plain_;  // by state; kUnknown at first
  std::vector<ByteSequence> plain_;   // the bytes of a plain character
  std::vector<uint32_t> masks_;
  std::vector<Stack> stacks_;
  std::unordered_map<uint64_t, StackId> stack_ids_;       // by (back_to, below)
  std::unordered_multimap<uint64_t, StateId> state_ids_;  // by hash of the places
  std::vector<PlaceId> work_, found_;                     // of close_and_intern()
  std::vector<uint64_t> seen_keys_;                       // open addressing, see add()
  std::vector<uint32_t> seen_rounds_;
  uint32_t round_ = 0;
  std::vector<StateId> path_;  // of walk(), by depth
};

}  // namespace hachi::grammar
