// The scheduler's use of the processor's memory: what is computed of a sequence that gives up its
// pages waits there.
//
// Of its pages, those at the beginning that the prefix tree has too stay with the tree: claimed, so
// that the tree moves them to the host when it needs the room, and does not forget them. So what
// others share is kept once, and nothing is copied as long as nobody needs the room. The rest is
// saved at once to pages of the host that are the sequence's own.
//
// All that sequences have claimed and saved together is at most as much as the host has pages: so
// there is always a place for a claimed page, and claims never keep pages on the device that a
// running sequence needs. Pages of the tree that nobody claims give way.
#include <algorithm>

#include "core/check.h"
#include "engine/scheduler.h"

namespace hachi::engine {

// Decodes read all weights for few tokens: what a prompt's token costs is learnt from steps most of
// whose tokens are of prompts.
int64_t Scheduler::tokens_to_time() const {
  int64_t all = 0, prompts = 0;
  for (const Slice& slice : slices_) {
    all += slice.count;
    if (!slice.sequence->is_decoding()) prompts += slice.count;
  }
  return 2 * prompts > all && prompts >= options_.page_tokens ? all : 0;
}

void Scheduler::learn_time(int64_t tokens, double seconds) {
  if (tokens == 0) return;
  swap_cost_.observe(tokens, seconds);
  prefixes_.set_moves_out(swap_cost_.copying_is_cheaper(1, options_.page_tokens));
}

bool Scheduler::should_swap(const Sequence& sequence) const {
  const int64_t pages = pages_for(sequence.num_computed);
  if (pages == 0 || swapped_pages_ + pages > host_->pool().num_pages()) return false;
  if (options_.preempt != Preempt::kAuto) return options_.preempt == Preempt::kSwap;
  return swap_cost_.copying_is_cheaper(pages, sequence.num_computed);
}

bool Scheduler::swap_out(Sequence& sequence) {
  if (!should_swap(sequence)) return false;
  if (options_.share_prefixes) {
    const int64_t count = std::min(sequence.num_computed, sequence.num_known);
    const auto computed = std::span(sequence.tokens).first(static_cast<size_t>(count));
    sequence.claim = prefixes_.claim(sequence.request.salt, computed, sequence.pages);
  }
  const int64_t first = sequence.claim.pages;
  const int64_t count = pages_for(sequence.num_computed) - first;
  CHECK(prefixes_.make_host_room(count));
  CHECK(sequence.saved.resize(count));
  for (int64_t i = 0; i < count; ++i) {
    host_->save(sequence.pages.pages()[static_cast<size_t>(first + i)],
                sequence.saved.pages()[static_cast<size_t>(i)]);
  }
  sequence.is_swapped_out = true;
  swapped_pages_ += first + count;
  ++swap_counts_.waiting;
  ++swap_counts_.sequences;
  swap_counts_.out += count;
  return true;
}

int64_t Scheduler::swap_in(Sequence& sequence) {
  const int64_t from_tree =
      prefixes_.load(sequence.request.salt, takeable(sequence), sequence.pages);
  const int64_t known = sequence.pages.size();
  sequence.num_remembered = known;
  if (!sequence.is_swapped_out) {
    sequence.num_computed = known * options_.page_tokens;
    return from_tree;
  }
  CHECK(known == sequence.claim.pages);
  const int64_t count = sequence.saved.size();
  CHECK(sequence.pages.resize(known + count));
  for (int64_t i = 0; i < count; ++i) {
    host_->load(sequence.pages.pages()[static_cast<size_t>(known + i)],
                sequence.saved.pages()[static_cast<size_t>(i)]);
  }
  swap_counts_.in += count;
  end_swap(sequence);
  return from_tree;
}

void Scheduler::end_swap(Sequence& sequence) {
  swapped_pages_ -= sequence.claim.pages + sequence.saved.size();
  prefixes_.release(sequence.claim);
  sequence.claim = {};
  sequence.saved.resize(0);
  sequence.is_swapped_out = false;
  --swap_counts_.waiting;
}

}  // namespace hachi::engine
