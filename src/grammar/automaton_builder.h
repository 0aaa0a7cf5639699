// AutomatonBuilder: the steps of Automaton::build().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "grammar/automaton.h"
#include "grammar/rules.h"
#include "grammar/utf8_ranges.h"

namespace hachi::grammar {

class AutomatonBuilder {
 public:
  AutomatonBuilder(const Rules& rules, RuleId root) : rules_(rules), root_(root) {}

  Result<Automaton> build();

 private:
  using StateId = Automaton::StateId;
  using Edge = Automaton::Edge;

  struct Link {
    StateId from;
    Edge edge;
    RuleId rule;  // of a call
  };

  StateId add_state();
  void add_bytes(StateId from, uint8_t first, uint8_t last, StateId to);
  void add_empty(StateId from, StateId to);
  void add_call(StateId from, RuleId rule, StateId to);

  // Edges that lead from `from` to `to` over what the node matches.
  void add_node(NodeId id, StateId from, StateId to);
  void add_chars(const CharSet& set, StateId from, StateId to);
  void add_repeat(const Node& node, StateId from, StateId to);
  // Whether a copy of the node is at most a few edges.
  bool is_small(NodeId id) const;
  RuleId rule_of(NodeId id);

  void expand_rules();
  void sort_links();
  // What each state needs of depth (see Automaton::need), kNever where no way leads to the end.
  void find_needs();
  void mark_tail_calls();
  Result<void> refuse_left_recursion() const;
  std::vector<char> find_nullable() const;
  void find_classes(Automaton& automaton) const;

  static constexpr uint16_t kNever = 0xFFFF;

  const Rules& rules_;
  RuleId root_;
  bool is_full_ = false;
  StateId num_states_ = 0;
  std::vector<Link> links_;             // by state, after sort_links()
  std::vector<uint32_t> begins_;        // links of state i: [begins_[i], begins_[i + 1])
  std::vector<StateId> starts_, ends_;  // by rule
  std::vector<NodeId> bodies_;          // of the rules, and of repeated parts that became rules
  std::vector<RuleId> rule_of_node_;    // by node; -1: none
  std::vector<uint16_t> need_;
  std::vector<ByteSequence> sequences_;
};

}  // namespace hachi::grammar
