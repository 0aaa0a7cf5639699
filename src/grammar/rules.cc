#include "grammar/rules.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace hachi::grammar {

NodeId Rules::add(const Node& node) {
  if (nodes_.size() >= kMaxNodes) {
    is_full_ = true;
    return none();
  }
  nodes_.push_back(node);
  nodes_.back().may_be_empty = may_be_empty(node);
  return static_cast<NodeId>(nodes_.size() - 1);
}

bool Rules::may_be_empty(const Node& node) const {
  const auto is_empty = [this](NodeId id) { return this->node(id).may_be_empty; };
  switch (node.kind) {
    case Node::Kind::kLiteral:
      return text(node).empty();
    case Node::Kind::kSequence:
      return std::all_of(parts(node).begin(), parts(node).end(), is_empty);
    case Node::Kind::kOneOf:
      return std::any_of(parts(node).begin(), parts(node).end(), is_empty);
    case Node::Kind::kRepeat:
      return node.b == 0 || is_empty(node.a);
    case Node::Kind::kNone:
    case Node::Kind::kChars:
    case Node::Kind::kRule:
      return false;
  }
  return false;
}

NodeId Rules::none() { return 0; }

NodeId Rules::literal(std::string_view bytes) {
  if (bytes.size() > kMaxLiteralBytes - literal_bytes_) {
    is_full_ = true;
    return none();
  }
  literal_bytes_ += bytes.size();
  texts_.emplace_back(bytes);
  return add({Node::Kind::kLiteral, static_cast<int32_t>(texts_.size() - 1)});
}

NodeId Rules::chars(const CharSet& set) {
  if (set.is_empty()) return none();
  // Few differ in one grammar, and those of one kind come one after the other.
  for (size_t back = 1; back <= sets_.size() && back <= 8; ++back) {
    if (sets_[sets_.size() - back] == set) {
      return add({Node::Kind::kChars, static_cast<int32_t>(sets_.size() - back)});
    }
  }
  sets_.push_back(set);
  return add({Node::Kind::kChars, static_cast<int32_t>(sets_.size() - 1)});
}

NodeId Rules::list(Node::Kind kind, std::span<const NodeId> parts) {
  if (parts.size() == 1) return parts[0];
  if (parts.size() > kMaxNodes - parts_.size()) {
    is_full_ = true;
    return none();
  }
  const size_t begin = parts_.size();
  parts_.insert(parts_.end(), parts.begin(), parts.end());
  return add({kind, static_cast<int32_t>(begin), static_cast<int32_t>(parts.size())});
}

NodeId Rules::sequence(std::span<const NodeId> parts) {
  return parts.empty() ? empty() : list(Node::Kind::kSequence, parts);
}

NodeId Rules::one_of(std::span<const NodeId> parts) {
  return parts.empty() ? none() : list(Node::Kind::kOneOf, parts);
}

NodeId Rules::repeat(NodeId part, int min, int max) {
  CHECK(min >= 0 && min <= kMaxRepeat && max <= kMaxRepeat);
  CHECK(max == kUnbounded || min <= max);
  // What may be empty is there any number of times already: no long way of empty steps.
  if (node(part).may_be_empty) min = 0;
  return add({Node::Kind::kRepeat, part, min, max});
}

NodeId Rules::rule(RuleId rule) { return add({Node::Kind::kRule, rule}); }

RuleId Rules::declare(std::string name) {
  if (bodies_.size() >= kMaxNodes) {
    is_full_ = true;
    return 0;
  }
  bodies_.push_back(none());
  names_.push_back(std::move(name));
  return static_cast<RuleId>(bodies_.size() - 1);
}

void Rules::define(RuleId rule, NodeId body) { bodies_[static_cast<size_t>(rule)] = body; }

NodeId Rules::shared(std::string name, NodeId body) {
  const RuleId id = declare(std::move(name));
  define(id, body);
  return rule(id);
}

}  // namespace hachi::grammar
