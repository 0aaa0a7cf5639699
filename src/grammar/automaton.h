// Automaton: a grammar as a recursive transition network over bytes. Each rule is a small automaton
// whose edges read a byte, read nothing, or run another rule and go on after it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "grammar/rules.h"

namespace hachi::grammar {

inline constexpr size_t kMaxStates = 400'000;
inline constexpr size_t kMaxEdges = 1'600'000;
// How deep rules may run within rules, calls that end their rule not counted; JSON takes two a
// level.
inline constexpr int kMaxDepth = 512;

class Automaton {
 public:
  using StateId = int32_t;

  struct Edge {
    enum class Kind : uint8_t { kBytes, kEmpty, kCall };
    Kind kind;
    uint8_t first = 0;  // kBytes: reads one of first..last
    uint8_t last = 0;
    StateId target;        // kCall: where it goes on after the rule
    StateId called = -1;   // kCall: where the rule begins
    bool is_tail = false;  // kCall: nothing but the end of the rule comes after it
  };

  // Fails if a rule runs itself before a byte is read, if no text at all matches, or if a limit is
  // passed. What can never come to an end is left out.
  static Result<Automaton> build(const Rules& rules, RuleId root);

  StateId start() const { return start_; }
  std::span<const Edge> edges(StateId state) const {
    const auto at = static_cast<size_t>(state);
    return std::span(edges_).subspan(begins_[at], begins_[at + 1] - begins_[at]);
  }
  // Whether a rule ends here.
  bool is_final(StateId state) const { return is_final_[static_cast<size_t>(state)] != 0; }
  // How many rules deep the shortest way from here to the end of its rule goes.
  int need(StateId state) const { return need_[static_cast<size_t>(state)]; }

  // Bytes that no edge tells apart have the same class.
  int num_classes() const { return num_classes_; }
  uint8_t byte_class(uint8_t byte) const { return classes_[byte]; }
  size_t bytes() const;

 private:
  friend class AutomatonBuilder;
  StateId start_ = 0;
  std::vector<Edge> edges_;       // by state
  std::vector<uint32_t> begins_;  // edges of state i: [begins_[i], begins_[i + 1])
  std::vector<uint8_t> is_final_;
  std::vector<uint16_t> need_;
  std::array<uint8_t, 256> classes_{};
  int num_classes_ = 1;
};

}  // namespace hachi::grammar
