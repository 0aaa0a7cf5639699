// What must hold of a grammar before texts are matched with it: no rule runs itself before it reads
// a byte, and every state that is kept has a way to the end of its rule.
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "formats/printable.h"
#include "grammar/automaton_builder.h"

namespace hachi::grammar {

// nullable[i]: whether the end of its rule can be reached from state i without a byte.
std::vector<char> AutomatonBuilder::find_nullable() const {
  const auto count = static_cast<size_t>(num_states_);
  std::vector<std::vector<uint32_t>> before(count);  // links that lead to a state or call a rule
  for (uint32_t i = 0; i < links_.size(); ++i) {
    const Link& link = links_[i];
    if (link.edge.kind == Edge::Kind::kBytes) continue;
    before[static_cast<size_t>(link.edge.target)].push_back(i);
    if (link.edge.kind == Edge::Kind::kCall) {
      before[static_cast<size_t>(starts_[static_cast<size_t>(link.rule)])].push_back(i);
    }
  }
  std::vector<char> nullable(count, 0);
  std::vector<StateId> work(ends_.begin(), ends_.end());
  for (const StateId end : ends_) nullable[static_cast<size_t>(end)] = 1;
  while (!work.empty()) {
    const StateId state = work.back();
    work.pop_back();
    for (const uint32_t i : before[static_cast<size_t>(state)]) {
      const Link& link = links_[i];
      if (nullable[static_cast<size_t>(link.from)]) continue;
      if (!nullable[static_cast<size_t>(link.edge.target)]) continue;
      if (link.edge.kind == Edge::Kind::kCall &&
          !nullable[static_cast<size_t>(starts_[static_cast<size_t>(link.rule)])]) {
        continue;
      }
      nullable[static_cast<size_t>(link.from)] = 1;
      work.push_back(link.from);
    }
  }
  return nullable;
}

// A depth-first walk over all states by what can follow without a byte: a call leads to the start
// of its rule, and past the rule if that may be empty. Running into a rule that is being walked is
// left recursion; loops within a rule are none.
Result<void> AutomatonBuilder::refuse_left_recursion() const {
  const std::vector<char> nullable = find_nullable();
  // The rules that each rule can run before a byte.
  std::vector<std::vector<RuleId>> runs(bodies_.size());
  std::vector<RuleId> seen_by(static_cast<size_t>(num_states_), -1);
  std::vector<StateId> work;
  size_t steps = 0;
  for (size_t rule = 0; rule < bodies_.size(); ++rule) {
    work.assign(1, starts_[rule]);
    while (!work.empty()) {
      const auto state = static_cast<size_t>(work.back());
      work.pop_back();
      if (seen_by[state] == static_cast<RuleId>(rule)) continue;
      seen_by[state] = static_cast<RuleId>(rule);
      for (uint32_t i = begins_[state]; i < begins_[state + 1]; ++i, ++steps) {
        const Link& link = links_[i];
        if (link.edge.kind == Edge::Kind::kEmpty) work.push_back(link.edge.target);
        if (link.edge.kind != Edge::Kind::kCall) continue;
        runs[rule].push_back(link.rule);
        const StateId start = starts_[static_cast<size_t>(link.rule)];
        if (nullable[static_cast<size_t>(start)]) work.push_back(link.edge.target);
      }
    }
  }
  enum : char { kNew, kOpen, kDone };
  std::vector<char> state(bodies_.size(), kNew);
  std::vector<std::pair<RuleId, size_t>> way;  // open rules, and which of their runs comes next
  for (size_t first = 0; first < bodies_.size(); ++first) {
    if (state[first] != kNew) continue;
    way.push_back({static_cast<RuleId>(first), 0});
    state[first] = kOpen;
    while (!way.empty()) {
      auto& [rule, next] = way.back();
      const auto at = static_cast<size_t>(rule);
      if (next == runs[at].size()) {
        state[at] = kDone;
        way.pop_back();
        continue;
      }
      const auto called = static_cast<size_t>(runs[at][next++]);
      if (state[called] == kOpen) {
        const size_t named = called < rules_.num_rules() ? called : at;
        return fail(Code::kInvalidArgument,
                    "{} leads back to itself before it writes anything (left recursion): no text "
                    "can be read with it; put something before the place where it repeats",
                    named < rules_.num_rules()
                        ? formats::printable(rules_.name(static_cast<RuleId>(named)))
                        : "a repetition");
      }
      if (state[called] == kNew) {
        state[called] = kOpen;
        way.push_back({static_cast<RuleId>(called), 0});
      }
    }
  }
  return {};
}

// Knuth's generalization of Dijkstra's algorithm, with a bucket for each depth.
void AutomatonBuilder::find_needs() {
  const auto count = static_cast<size_t>(num_states_);
  std::vector<uint32_t> ends(count + 1, 0);
  const auto for_each_before = [&](auto&& visit) {
    for (uint32_t i = 0; i < links_.size(); ++i) {
      visit(static_cast<size_t>(links_[i].edge.target), i);
      if (links_[i].edge.kind == Edge::Kind::kCall) {
        visit(static_cast<size_t>(starts_[static_cast<size_t>(links_[i].rule)]), i);
      }
    }
  };
  for_each_before([&](size_t state, uint32_t) { ++ends[state + 1]; });
  for (size_t i = 0; i < count; ++i) ends[i + 1] += ends[i];
  std::vector<uint32_t> before(ends[count]);
  std::vector<uint32_t> next(ends.begin(), ends.end() - 1);
  for_each_before([&](size_t state, uint32_t link) { before[next[state]++] = link; });

  need_.assign(count, kNever);
  std::vector<char> is_settled(count, 0);
  std::vector<std::vector<StateId>> buckets(kMaxDepth + 1);
  for (const StateId end : ends_) {
    need_[static_cast<size_t>(end)] = 0;
    buckets[0].push_back(end);
  }
  for (size_t depth = 0; depth < buckets.size(); ++depth) {
    for (size_t i = 0; i < buckets[depth].size(); ++i) {
      const auto state = static_cast<size_t>(buckets[depth][i]);
      if (is_settled[state]) continue;
      is_settled[state] = 1;
      for (uint32_t k = ends[state]; k < ends[state + 1]; ++k) {
        const Link& link = links_[before[k]];
        uint16_t needed = need_[static_cast<size_t>(link.edge.target)];
        if (link.edge.kind == Edge::Kind::kCall) {
          const uint16_t called =
              need_[static_cast<size_t>(starts_[static_cast<size_t>(link.rule)])];
          if (called == kNever || needed == kNever) continue;
          needed = std::max<uint16_t>(needed, called + (link.edge.is_tail ? 0 : 1));
        }
        const auto from = static_cast<size_t>(link.from);
        if (needed > kMaxDepth || needed >= need_[from]) continue;
        need_[from] = needed;
        buckets[needed].push_back(link.from);
      }
    }
  }
}

}  // namespace hachi::grammar
