#include "grammar/automaton.h"

#include <algorithm>
#include <bitset>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "formats/printable.h"
#include "grammar/automaton_builder.h"

namespace hachi::grammar {

AutomatonBuilder::StateId AutomatonBuilder::add_state() {
  if (static_cast<size_t>(num_states_) >= kMaxStates) {
    is_full_ = true;
    return 0;
  }
  return num_states_++;
}

void AutomatonBuilder::add_bytes(StateId from, uint8_t first, uint8_t last, StateId to) {
  links_.push_back({from, {Edge::Kind::kBytes, first, last, to}, -1});
}

void AutomatonBuilder::add_empty(StateId from, StateId to) {
  if (from != to) links_.push_back({from, {Edge::Kind::kEmpty, 0, 0, to}, -1});
}

void AutomatonBuilder::add_call(StateId from, RuleId rule, StateId to) {
  links_.push_back({from, {Edge::Kind::kCall, 0, 0, to}, rule});
}

void AutomatonBuilder::add_chars(const CharSet& set, StateId from, StateId to) {
  sequences_.clear();
  for (const CharRange& range : set.ranges()) append_utf8_ranges(range, sequences_);
  for (const ByteSequence& sequence : sequences_) {
    StateId at = from;
    for (int i = 0; i < sequence.length; ++i) {
      const StateId next = i + 1 == sequence.length ? to : add_state();
      const ByteRange range = sequence.ranges[static_cast<size_t>(i)];
      add_bytes(at, range.first, range.last, next);
      at = next;
    }
  }
}

bool AutomatonBuilder::is_small(NodeId id) const {
  const Node& node = rules_.node(id);
  switch (node.kind) {
    case Node::Kind::kNone:
    case Node::Kind::kRule:
      return true;
    case Node::Kind::kLiteral:
      return rules_.text(node).size() <= 1;
    case Node::Kind::kChars:
      return rules_.set(node).ranges().size() <= 4 && rules_.set(node).ranges().back().last < 0x80;
    default:
      return false;
  }
}

RuleId AutomatonBuilder::rule_of(NodeId id) {
  RuleId& rule = rule_of_node_[static_cast<size_t>(id)];
  if (rule < 0) {
    rule = static_cast<RuleId>(bodies_.size());
    bodies_.push_back(id);
    starts_.push_back(add_state());
    ends_.push_back(add_state());
  }
  return rule;
}

// Each count is a state. What is repeated stands in a rule of its own unless it is small, so that a
// count costs one edge.
void AutomatonBuilder::add_repeat(const Node& node, StateId from, StateId to) {
  const NodeId part = node.a;
  const bool inline_part = is_small(part) || (node.b <= 1 && node.c == Rules::kUnbounded) ||
                           (node.c <= 1 && node.c != Rules::kUnbounded);
  const auto add_one = [&](StateId a, StateId b) {
    if (inline_part) {
      add_node(part, a, b);
    } else {
      add_call(a, rule_of(part), b);
    }
  };
  StateId at = add_state();
  add_empty(from, at);
  const int copies = node.c == Rules::kUnbounded ? node.b : node.c;
  for (int i = 0; i < copies && !is_full_; ++i) {
    if (i >= node.b) add_empty(at, to);
    const StateId next = add_state();
    add_one(at, next);
    at = next;
  }
  if (node.c == Rules::kUnbounded) {
    const StateId loop = add_state();
    add_empty(at, loop);
    add_one(loop, loop);
    at = loop;
  }
  add_empty(at, to);
}

void AutomatonBuilder::add_node(NodeId id, StateId from, StateId to) {
  if (is_full_ || links_.size() > kMaxEdges) {
    is_full_ = true;
    return;
  }
  const Node& node = rules_.node(id);
  switch (node.kind) {
    case Node::Kind::kNone:
      return;
    case Node::Kind::kLiteral: {
      const std::string& text = rules_.text(node);
      if (text.empty()) return add_empty(from, to);
      for (size_t i = 0; i < text.size(); ++i) {
        const StateId next = i + 1 == text.size() ? to : add_state();
        const auto byte = static_cast<uint8_t>(text[i]);
        add_bytes(from, byte, byte, next);
        from = next;
      }
      return;
    }
    case Node::Kind::kChars:
      return add_chars(rules_.set(node), from, to);
    case Node::Kind::kSequence: {
      const auto parts = rules_.parts(node);
      for (size_t i = 0; i < parts.size(); ++i) {
        const StateId next = i + 1 == parts.size() ? to : add_state();
        add_node(parts[i], from, next);
        from = next;
      }
      return;
    }
    case Node::Kind::kOneOf:
      for (const NodeId part : rules_.parts(node)) add_node(part, from, to);
      return;
    case Node::Kind::kRepeat:
      return add_repeat(node, from, to);
    case Node::Kind::kRule:
      return add_call(from, node.a, to);
  }
}

void AutomatonBuilder::expand_rules() {
  rule_of_node_.assign(kMaxNodes + 1, -1);
  for (size_t i = 0; i < rules_.num_rules(); ++i) {
    bodies_.push_back(rules_.body(static_cast<RuleId>(i)));
    starts_.push_back(add_state());
    ends_.push_back(add_state());
  }
  // Repeated parts are appended as rules on the way.
  for (size_t i = 0; i < bodies_.size() && !is_full_; ++i) {
    add_node(bodies_[i], starts_[i], ends_[i]);
  }
}

void AutomatonBuilder::sort_links() {
  const auto count = static_cast<size_t>(num_states_);
  begins_.assign(count + 1, 0);
  for (const Link& link : links_) ++begins_[static_cast<size_t>(link.from) + 1];
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
  std::vector<uint32_t> next(begins_.begin(), begins_.end() - 1);
  std::vector<Link> sorted(links_.size());
  for (const Link& link : links_) sorted[next[static_cast<size_t>(link.from)]++] = link;
  links_ = std::move(sorted);
}

void AutomatonBuilder::mark_tail_calls() {
  // Only the end of its rule comes after a state whose edges all are one empty one to such a state.
  const auto ends_rule = [this](StateId state) {
    for (int steps = 0; steps < 64; ++steps) {
      const uint32_t begin = begins_[static_cast<size_t>(state)];
      const uint32_t end = begins_[static_cast<size_t>(state) + 1];
      if (begin == end) return true;  // the end itself: all other states lead somewhere
      if (end - begin != 1 || links_[begin].edge.kind != Edge::Kind::kEmpty) return false;
      state = links_[begin].edge.target;
    }
    return false;
  };
  for (Link& link : links_) {
    if (link.edge.kind == Edge::Kind::kCall) link.edge.is_tail = ends_rule(link.edge.target);
  }
}

void AutomatonBuilder::find_classes(Automaton& automaton) const {
  std::bitset<257> begins;
  for (const Link& link : links_) {
    if (link.edge.kind != Edge::Kind::kBytes) continue;
    begins.set(link.edge.first);
    begins.set(size_t{link.edge.last} + 1);
  }
  int current = 0;
  for (size_t byte = 0; byte < 256; ++byte) {
    if (byte > 0 && begins.test(byte)) ++current;
    automaton.classes_[byte] = static_cast<uint8_t>(current);
  }
  automaton.num_classes_ = current + 1;
}

Result<Automaton> AutomatonBuilder::build() {
  expand_rules();
  if (is_full_ || rules_.is_full()) {
    return fail(Code::kLimit,
                "the grammar is too large: it needs more than {} states or {} nodes (repetitions "
                "count as often as they may occur); ask for less",
                kMaxStates, kMaxNodes);
  }
  sort_links();
  TRY(refuse_left_recursion());
  mark_tail_calls();
  find_needs();
  const StateId start = starts_[static_cast<size_t>(root_)];
  if (need_[static_cast<size_t>(start)] > kMaxDepth) {
    return fail(Code::kInvalidArgument,
                "no text can satisfy this grammar: a rule has no way to come to an end");
  }
  Automaton automaton;
  automaton.start_ = start;
  automaton.need_ = need_;
  automaton.is_final_.assign(static_cast<size_t>(num_states_), 0);
  for (const StateId end : ends_) automaton.is_final_[static_cast<size_t>(end)] = 1;
  automaton.begins_.push_back(0);
  for (StateId state = 0; state < num_states_; ++state) {
    for (uint32_t i = begins_[static_cast<size_t>(state)];
         i < begins_[static_cast<size_t>(state) + 1]; ++i) {
      Edge edge = links_[i].edge;
      if (need_[static_cast<size_t>(edge.target)] > kMaxDepth) continue;
      if (edge.kind == Edge::Kind::kCall) {
        edge.called = starts_[static_cast<size_t>(links_[i].rule)];
        if (need_[static_cast<size_t>(edge.called)] > kMaxDepth) continue;
      }
      automaton.edges_.push_back(edge);
    }
    automaton.begins_.push_back(static_cast<uint32_t>(automaton.edges_.size()));
  }
  find_classes(automaton);
  return automaton;
}

Result<Automaton> Automaton::build(const Rules& rules, RuleId root) {
  return AutomatonBuilder(rules, root).build();
}

size_t Automaton::bytes() const {
  return edges_.size() * sizeof(Edge) + need_.size() * (sizeof(uint32_t) + sizeof(uint16_t) + 1);
}

}  // namespace hachi::grammar
