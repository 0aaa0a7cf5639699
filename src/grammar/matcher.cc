#include "grammar/matcher.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "core/check.h"
#include "grammar/grammar_shared.h"

namespace hachi::grammar {

struct Matcher::State {
  using Dfa = Grammar::Shared::Dfa;

  const Grammar::Shared& shared() const { return *grammar->shared_; }

  // Where the last accept led; goes on in a fresh Dfa if this one has become too large. Called with
  // no mutex held.
  void renew() {
    {
      const std::lock_guard lock(dfa->mutex);
      if (dfa->states.bytes() <= kMaxDfaBytes) return;
    }
    std::shared_ptr<Dfa> fresh;
    {
      const Grammar::Shared& all = shared();
      const std::lock_guard lock(all.mutex);
      auto& current = grammar->shared_->dfa;
      if (current == dfa) current = all.make_dfa();
      fresh = current;
    }
    const std::scoped_lock lock(dfa->mutex, fresh->mutex);
    for (LazyDfa::StateId& state : way) {
      state = fresh->states.import(dfa->states.places(state), dfa->states.can_end(state));
    }
    dfa = std::move(fresh);
  }

  // Where `bytes` lead from here, or kDead. The mutex of dfa is held.
  LazyDfa::StateId after(std::string_view bytes) {
    LazyDfa::StateId state = way.back();
    for (const char byte : bytes) {
      if (state == LazyDfa::kDead) break;
      state = dfa->states.next(state, static_cast<uint8_t>(byte));
    }
    return state;
  }

  bool step(std::string_view bytes) {
    if (is_stopped) return false;
    renew();
    const std::lock_guard lock(dfa->mutex);
    const LazyDfa::StateId reached = after(bytes);
    if (reached == LazyDfa::kDead) return false;
    remember(reached);
    return true;
  }
  // Whether the text may end here: where it is whole, and where the limits of LazyDfa have left no
  // way on. The mutex of dfa is held.
  bool may_stop() {
    const LazyDfa::StateId here = way.back();
    if (dfa->states.can_end(here)) return true;
    const std::span<const uint32_t> mask = dfa->states.mask(here);
    return std::all_of(mask.begin(), mask.end(), [](uint32_t word) { return word == 0; });
  }

  void remember(LazyDfa::StateId state) {
    if (way.size() > 2 * kMaxRollback) way.erase(way.begin(), way.end() - kMaxRollback - 1);
    way.push_back(state);
  }

  std::shared_ptr<const Grammar> grammar;
  std::shared_ptr<Dfa> dfa;
  std::vector<LazyDfa::StateId> way;  // states of dfa; the last is where the text stands
  bool is_stopped = false;            // the last step was a stop id
};

Matcher::Matcher(std::shared_ptr<const Grammar> grammar) : state_(std::make_unique<State>()) {
  state_->grammar = std::move(grammar);
  {
    const std::lock_guard lock(state_->shared().mutex);
    state_->dfa = state_->shared().dfa;
  }
  const std::lock_guard lock(state_->dfa->mutex);
  state_->way.push_back(state_->dfa->states.start());
}

Matcher::Matcher(std::unique_ptr<State> state) : state_(std::move(state)) {}
Matcher::Matcher(Matcher&&) noexcept = default;
Matcher& Matcher::operator=(Matcher&&) noexcept = default;
Matcher::~Matcher() = default;

bool Matcher::accept(TokenId token) {
  const Vocabulary& tokens = vocabulary();
  if (token < 0 || token >= tokens.size()) return false;
  if (tokens.is_stop(token)) {
    if (state_->is_stopped) return false;
    state_->renew();
    const std::lock_guard lock(state_->dfa->mutex);
    if (!state_->may_stop()) return false;
    state_->remember(state_->way.back());
    state_->is_stopped = true;
    return true;
  }
  const std::string& bytes = tokens.tokens_[static_cast<size_t>(token)];
  return !bytes.empty() && state_->step(bytes);
}

bool Matcher::accept_bytes(std::string_view bytes) { return state_->step(bytes); }

void Matcher::fill_mask(std::span<uint32_t> words) {
  const Vocabulary& tokens = vocabulary();
  CHECK_EQ(words.size(), tokens.mask_words());
  std::fill(words.begin(), words.end(), 0);
  bool may_stop = true;
  if (!state_->is_stopped) {
    state_->renew();
    const std::lock_guard lock(state_->dfa->mutex);
    const std::span<const uint32_t> mask = state_->dfa->states.mask(state_->way.back());
    std::copy(mask.begin(), mask.end(), words.begin());
    may_stop = state_->may_stop();
  }
  if (!may_stop) return;
  for (const TokenId id : tokens.stop_ids_) {
    words[static_cast<size_t>(id) / 32] |= uint32_t{1} << (static_cast<uint32_t>(id) % 32);
  }
}

bool Matcher::can_end() const {
  const std::lock_guard lock(state_->dfa->mutex);
  return state_->dfa->states.can_end(state_->way.back());
}

bool Matcher::is_finished() {
  if (state_->is_stopped) return true;
  const std::lock_guard lock(state_->dfa->mutex);
  LazyDfa& states = state_->dfa->states;
  if (!states.can_end(state_->way.back())) return false;
  for (int byte = 0; byte < 256; ++byte) {
    if (states.next(state_->way.back(), static_cast<uint8_t>(byte)) != LazyDfa::kDead) return false;
  }
  return true;
}

std::string Matcher::forced_text() {
  std::string text;
  if (state_->is_stopped) return text;
  state_->renew();
  const std::lock_guard lock(state_->dfa->mutex);
  LazyDfa& states = state_->dfa->states;
  LazyDfa::StateId state = state_->way.back();
  while (text.size() < kMaxForcedBytes && !states.can_end(state)) {
    int forced = -1;
    for (int byte = 0; byte < 256; ++byte) {
      if (states.next(state, static_cast<uint8_t>(byte)) == LazyDfa::kDead) continue;
      if (forced >= 0) return text;
      forced = byte;
    }
    if (forced < 0) break;
    text += static_cast<char>(forced);
    state = states.next(state, static_cast<uint8_t>(forced));
  }
  return text;
}

void Matcher::rollback(int steps) {
  CHECK(steps >= 0 && steps <= num_steps());
  if (steps == 0) return;
  state_->way.resize(state_->way.size() - static_cast<size_t>(steps));
  state_->is_stopped = false;
}

int Matcher::num_steps() const { return static_cast<int>(state_->way.size()) - 1; }

Matcher Matcher::clone() const { return Matcher(std::make_unique<State>(*state_)); }

const Vocabulary& Matcher::vocabulary() const { return *state_->shared().vocabulary; }

}  // namespace hachi::grammar
