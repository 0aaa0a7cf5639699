#include "grammar/lazy_dfa.h"

#include <algorithm>
#include <utility>

namespace hachi::grammar {
namespace {

uint64_t mix(uint64_t x) {  // the finalizer of MurmurHash3
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCDu;
  x ^= x >> 33;
  x *= 0xC4CEB9FE1A85EC53u;
  return x ^ (x >> 33);
}

// Four times the places that can be looked at, and a power of two.
constexpr size_t kSeenSlots = 4096 * 4;
constexpr size_t kMaxWork = 4096;  // places on the way, those that read no byte included

}  // namespace

LazyDfa::LazyDfa(const Automaton& automaton, const TokenTrie& trie, size_t mask_words)
    : automaton_(&automaton),
      trie_(&trie),
      mask_words_(mask_words),
      num_classes_(static_cast<size_t>(automaton.num_classes())),
      stacks_{{-1, 0, 0}},
      seen_keys_(kSeenSlots),
      seen_rounds_(kSeenSlots),
      path_(static_cast<size_t>(trie.max_depth()) + 1) {
  for (const CharRange& range : plain_characters().ranges()) append_utf8_ranges(range, plain_);
  ++round_;
  add(automaton.start(), 0);
  start_ = close_and_intern();
  // The limits may leave no way from the start: then the text can only end.
  if (start_ == kDead) start_ = intern(true);
}

// Queues a place unless this round has seen it, or there are too many.
void LazyDfa::add(Automaton::StateId state, StackId stack) {
  if (work_.size() >= kMaxWork) return;
  const PlaceId place{state, stack};
  const uint64_t key = place.key();
  size_t slot = mix(key) & (kSeenSlots - 1);
  while (seen_rounds_[slot] == round_) {
    if (seen_keys_[slot] == key) return;
    slot = (slot + 1) & (kSeenSlots - 1);
  }
  seen_rounds_[slot] = round_;
  seen_keys_[slot] = key;
  work_.push_back(place);
}

LazyDfa::StackId LazyDfa::push(Automaton::StateId back_to, StackId below) {
  const uint64_t key = PlaceId{back_to, below}.key();
  const auto [found, is_new] = stack_ids_.try_emplace(key, static_cast<StackId>(stacks_.size()));
  if (is_new) {
    stacks_.push_back({back_to, below, stacks_[static_cast<size_t>(below)].depth + 1});
  }
  return found->second;
}

LazyDfa::StateId LazyDfa::close_and_intern() {
  bool can_end = false;
  found_.clear();
  for (size_t i = 0; i < work_.size(); ++i) {
    const PlaceId place = work_[i];
    const Stack stack = stacks_[static_cast<size_t>(place.stack)];
    if (automaton_->is_final(place.state)) {
      if (place.stack == 0) {
        can_end = true;
      } else {
        add(stack.back_to, stack.below);
      }
    }
    bool reads = false;
    for (const Automaton::Edge& edge : automaton_->edges(place.state)) {
      if (stack.depth + automaton_->need(edge.target) > kMaxDepth) continue;
      switch (edge.kind) {
        case Automaton::Edge::Kind::kBytes:
          reads = true;
          break;
        case Automaton::Edge::Kind::kEmpty:
          add(edge.target, place.stack);
          break;
        case Automaton::Edge::Kind::kCall:
          if (edge.is_tail) {
            if (stack.depth + automaton_->need(edge.called) <= kMaxDepth) {
              add(edge.called, place.stack);
            }
          } else if (stack.depth + 1 + automaton_->need(edge.called) <= kMaxDepth) {
            add(edge.called, push(edge.target, place.stack));
          }
          break;
      }
    }
    if (reads && found_.size() < kMaxPlaces) found_.push_back(place);
  }
  work_.clear();
  return intern(can_end);
}

LazyDfa::StateId LazyDfa::intern(bool can_end) {
  if (found_.empty() && !can_end) return kDead;
  std::sort(found_.begin(), found_.end(),
            [](const PlaceId& a, const PlaceId& b) { return a.key() < b.key(); });
  uint64_t hash = can_end ? 1 : 0;
  for (const PlaceId& place : found_) hash = mix(hash * 31 + place.key());
  const auto [begin, end] = state_ids_.equal_range(hash);
  for (auto known = begin; known != end; ++known) {
    const State& state = states_[static_cast<size_t>(known->second)];
    if (state.can_end == can_end && state.count == found_.size() &&
        std::equal(found_.begin(), found_.end(), places_.begin() + state.begin)) {
      return known->second;
    }
  }
  const auto id = static_cast<StateId>(states_.size());
  states_.push_back(
      {static_cast<uint32_t>(places_.size()), static_cast<uint32_t>(found_.size()), -1, can_end});
  places_.insert(places_.end(), found_.begin(), found_.end());
  transitions_.resize(transitions_.size() + num_classes_, kUnknown);
  after_plain_.push_back(kUnknown);
  state_ids_.emplace(hash, id);
  return id;
}

LazyDfa::StateId LazyDfa::make_next(StateId state, uint8_t byte) {
  ++round_;
  if (round_ == 0) {  // wrapped around
    std::fill(seen_rounds_.begin(), seen_rounds_.end(), 0);
    round_ = 1;
  }
  const State from = states_[static_cast<size_t>(state)];
  for (uint32_t i = 0; i < from.count; ++i) {
    const PlaceId place = places_[from.begin + i];
    const int depth = stacks_[static_cast<size_t>(place.stack)].depth;
    for (const Automaton::Edge& edge : automaton_->edges(place.state)) {
      if (edge.kind == Automaton::Edge::Kind::kBytes && edge.first <= byte && byte <= edge.last &&
          depth + automaton_->need(edge.target) <= kMaxDepth) {
        add(edge.target, place.stack);
      }
    }
  }
  const StateId made = close_and_intern();
  transitions_[index(state, byte)] = made;
  return made;
}

// Bytes of one class lie side by side, so the first of each stands for it.
bool LazyDfa::all_lead_to(StateId state, const ByteSequence& bytes, int at, StateId& target) {
  const ByteRange range = bytes.ranges[static_cast<size_t>(at)];
  int last_class = -1;
  for (int byte = range.first; byte <= range.last; ++byte) {
    const int its_class = automaton_->byte_class(static_cast<uint8_t>(byte));
    if (std::exchange(last_class, its_class) == its_class) continue;
    const StateId reached = next(state, static_cast<uint8_t>(byte));
    if (reached == kDead) return false;
    if (at + 1 < bytes.length) {
      if (!all_lead_to(reached, bytes, at + 1, target)) return false;
    } else if (target == kUnknown) {
      target = reached;
    } else if (target != reached) {
      return false;
    }
  }
  return true;
}

LazyDfa::StateId LazyDfa::after_plain(StateId state) {
  const auto at = static_cast<size_t>(state);
  if (after_plain_[at] != kUnknown) return after_plain_[at];
  StateId target = kUnknown;
  const bool all = std::all_of(plain_.begin(), plain_.end(), [&](const ByteSequence& bytes) {
    return all_lead_to(state, bytes, 0, target);
  });
  return after_plain_[at] = all ? target : kDead;
}

bool LazyDfa::takes_plain(StateId state, int count) {
  for (; count > 0; --count) {
    const StateId reached = after_plain(state);
    if (reached == kDead) return false;
    if (reached == state) return true;
    state = reached;
  }
  return true;
}

// Sets the bits of the tokens of at most `max_bytes` bytes; false if it would make too many states.
bool LazyDfa::walk(StateId state, std::span<const TokenTrie::Node> nodes, int max_bytes,
                   uint32_t* mask) {
  const size_t most_states = states_.size() + kMaxStatesPerMask;
  const auto set = [mask](int32_t id) {
    const auto token = static_cast<uint32_t>(id);
    mask[token / 32] |= uint32_t{1} << (token % 32);
  };
  path_[0] = state;
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    if (node.depth > max_bytes) {
      i = node.next;
      continue;
    }
    const StateId reached = next(path_[node.depth - 1u], node.byte);
    if (reached == kDead) {
      i = node.next;
      continue;
    }
    path_[node.depth] = reached;
    if (node.token >= 0) set(node.token);
    if (states_.size() > most_states) return false;
    // Within a string most branches are taken whole.
    const bool is_whole =
        node.plain_below != TokenTrie::kNotPlain && max_bytes >= trie_->max_depth();
    if (is_whole && takes_plain(reached, node.plain_below)) {
      for (++i; i < node.next; ++i) {
        if (nodes[i].token >= 0) set(nodes[i].token);
      }
    } else {
      ++i;
    }
  }
  return true;
}

std::span<const uint32_t> LazyDfa::mask(StateId state) {
  const auto at = static_cast<size_t>(state);
  if (states_[at].mask < 0) {
    const size_t begin = masks_.size();
    masks_.resize(begin + mask_words_);
    uint32_t* mask = masks_.data() + begin;
    std::span<const TokenTrie::Node> nodes = trie_->nodes();
    for (const TokenTrie::Split& split : trie_->splits()) {
      if (!takes_plain(state, split.chars)) continue;
      std::copy(split.plain.begin(), split.plain.end(), mask);
      nodes = split.others;
      break;
    }
    if (!walk(state, nodes, trie_->max_depth(), mask)) {
      std::fill(mask, mask + mask_words_, 0);
      walk(state, trie_->nodes(), kShortTokenBytes, mask);
    }
    for (const TokenTrie::Twin& twin : trie_->twins()) {
      const auto like = static_cast<uint32_t>(twin.like);
      const auto token = static_cast<uint32_t>(twin.token);
      mask[token / 32] |= (mask[like / 32] >> (like % 32) & 1) << (token % 32);
    }
    states_[at].mask = static_cast<int32_t>(begin / std::max<size_t>(mask_words_, 1));
  }
  return std::span(masks_).subspan(static_cast<size_t>(states_[at].mask) * mask_words_,
                                   mask_words_);
}

size_t LazyDfa::bytes() const {
  constexpr size_t kMapNode = 48;  // what the maps take for an entry, with their buckets
  return states_.size() *
             (sizeof(State) + num_classes_ * sizeof(StateId) + sizeof(StateId) + kMapNode) +
         places_.size() * sizeof(PlaceId) + masks_.size() * sizeof(uint32_t) +
         stacks_.size() * (sizeof(Stack) + kMapNode) + kSeenSlots * 12;
}

std::vector<LazyDfa::Place> LazyDfa::places(StateId state) const {
  std::vector<Place> result;
  const State& from = states_[static_cast<size_t>(state)];
  for (uint32_t i = 0; i < from.count; ++i) {
    const PlaceId place = places_[from.begin + i];
    result.push_back({place.state, {}});
    for (StackId at = place.stack; at != 0; at = stacks_[static_cast<size_t>(at)].below) {
      result.back().stack.push_back(stacks_[static_cast<size_t>(at)].back_to);
    }
  }
  return result;
}

LazyDfa::StateId LazyDfa::import(std::span<const Place> places, bool can_end) {
  found_.clear();
  for (const Place& place : places) {
    StackId stack = 0;
    for (auto back_to = place.stack.rbegin(); back_to != place.stack.rend(); ++back_to) {
      stack = push(*back_to, stack);
    }
    found_.push_back({place.state, stack});
  }
  return intern(can_end);
}

}  // namespace hachi::grammar
