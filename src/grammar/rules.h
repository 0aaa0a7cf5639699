// Rules: a context-free grammar as a tree of nodes. What all front ends (JSON schema, regular
// expression, EBNF, composed specs) write and the automaton is built from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "grammar/char_set.h"

namespace hachi::grammar {

using NodeId = int32_t;
using RuleId = int32_t;

inline constexpr size_t kMaxNodes = 400'000;
inline constexpr size_t kMaxLiteralBytes = size_t{1} << 20;  // of all literals together
// Of one repetition, as of maxLength, maxItems or {m,n}: each count is a state of the automaton.
inline constexpr int kMaxRepeat = 10'000;

struct Node {
  enum class Kind : uint8_t { kNone, kLiteral, kChars, kSequence, kOneOf, kRepeat, kRule };
  Kind kind;
  int32_t a = 0;  // kLiteral: its text; kChars: its set; kSequence, kOneOf: where their parts
                  // begin; kRepeat: what is repeated; kRule: the rule
  int32_t b = 0;  // kSequence, kOneOf: how many parts; kRepeat: the least count
  int32_t c = 0;  // kRepeat: the greatest count, or kUnbounded
  bool may_be_empty = false;  // it matches the empty text, as far as is known without other rules
};

// Nothing here fails: what does not fit any more is left out, and is_full() says so at the end.
class Rules {
 public:
  static constexpr int kUnbounded = -1;

  // Matches nothing at all; what contains it in a sequence does neither.
  NodeId none();
  NodeId empty() { return literal({}); }
  NodeId literal(std::string_view bytes);
  NodeId chars(const CharSet& set);
  NodeId sequence(std::span<const NodeId> parts);
  NodeId one_of(std::span<const NodeId> parts);
  NodeId sequence(std::initializer_list<NodeId> parts) {
    return sequence(std::span(parts.begin(), parts.size()));
  }
  NodeId one_of(std::initializer_list<NodeId> parts) {
    return one_of(std::span(parts.begin(), parts.size()));
  }
  // 0 <= min <= max <= kMaxRepeat, or `max` is kUnbounded.
  NodeId repeat(NodeId part, int min, int max);
  NodeId optional(NodeId part) { return repeat(part, 0, 1); }
  NodeId rule(RuleId rule);

  // A rule whose body comes later (none until then). The name is for messages.
  RuleId declare(std::string name);
  void define(RuleId rule, NodeId body);
  // A node that calls a new rule with this body: many places can share it at the price of one node.
  NodeId shared(std::string name, NodeId body);

  bool is_full() const { return is_full_; }
  const Node& node(NodeId id) const { return nodes_[static_cast<size_t>(id)]; }
  std::span<const NodeId> parts(const Node& node) const {
    return std::span(parts_).subspan(static_cast<size_t>(node.a), static_cast<size_t>(node.b));
  }
  const std::string& text(const Node& node) const { return texts_[static_cast<size_t>(node.a)]; }
  const CharSet& set(const Node& node) const { return sets_[static_cast<size_t>(node.a)]; }
  size_t num_rules() const { return bodies_.size(); }
  NodeId body(RuleId rule) const { return bodies_[static_cast<size_t>(rule)]; }
  const std::string& name(RuleId rule) const { return names_[static_cast<size_t>(rule)]; }

 private:
  NodeId add(const Node& node);
  bool may_be_empty(const Node& node) const;
  NodeId list(Node::Kind kind, std::span<const NodeId> parts);

  std::vector<Node> nodes_ = {{Node::Kind::kNone}};  // the first is none()
  std::vector<NodeId> parts_;
  std::vector<std::string> texts_;
  std::vector<CharSet> sets_;
  std::vector<NodeId> bodies_;  // by rule
  std::vector<std::string> names_;
  size_t literal_bytes_ = 0;
  bool is_full_ = false;
};

}  // namespace hachi::grammar
