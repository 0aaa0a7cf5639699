#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace hachi::engine {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

Scheduler::Scheduler(PagePool& pool, const SchedulerOptions& options)
    : pool_(&pool), options_(options), prefixes_(pool, options.page_tokens) {
  CHECK(options.max_sequences > 0 && options.step_tokens > 0 && options.prompt_tokens > 0);
  running_.reserve(static_cast<size_t>(options.max_sequences));
  slices_.reserve(static_cast<size_t>(options.max_sequences));
}

bool Scheduler::goes_before(const Sequence& a, const Sequence& b) const {
  if (a.request.priority != b.request.priority) return a.request.priority > b.request.priority;
  const int64_t given_a = given_.at(a.request.user), given_b = given_.at(b.request.user);
  if (given_a != given_b) return given_a < given_b;
  return a.arrival < b.arrival;
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  // Who comes anew starts level with those who are here, not with a lead from before.
  int64_t least = 0;
  for (const auto& [user, given] : given_) least = given_.size() == 1 ? given : std::min(least, given);
  given_.try_emplace(sequence->request.user, least);
  waiting_.push_back(std::move(sequence));
}

std::unique_ptr<Sequence> Scheduler::remove(Sequence& sequence) {
  const auto same = [&](const auto& one) { return one.get() == &sequence; };
  for (List* list : {&running_, &waiting_}) {
    const auto found = std::find_if(list->begin(), list->end(), same);
    if (found == list->end()) continue;
    std::unique_ptr<Sequence> removed = std::move(*found);
    list->erase(found);
    removed->pages.resize(0);
    const uint64_t user = removed->request.user;
    const auto of_user = [&](const auto& one) { return one->request.user == user; };
    if (std::none_of(running_.begin(), running_.end(), of_user) &&
        std::none_of(waiting_.begin(), waiting_.end(), of_user)) {
      given_.erase(user);
    }
    return removed;
  }
  CHECK(false);
  return nullptr;
}

std::span<const Slice> Scheduler::plan() {
  slices_.clear();
  budget_ = options_.step_tokens;
  order_.clear();
  for (const auto& sequence : running_) order_.push_back(sequence.get());
  std::sort(order_.begin(), order_.end(),
            [this](const Sequence* a, const Sequence* b) { return goes_before(*a, *b); });
  plan_running(true);
  if (!slices_.empty()) budget_ = std::min(budget_, options_.prompt_tokens);
  plan_running(false);
  admit();
  return slices_;
}

// In order, so that who must give up pages for another is not planned yet.
void Scheduler::plan_running(bool decoding) {
  for (size_t i = 0; i < order_.size() && budget_ > 0; ++i) {
    Sequence& sequence = *order_[i];
    if (sequence.is_decoding() != decoding || sequence.stream->is_full()) continue;
    const int64_t count = std::min(sequence.num_left(), budget_);
    if (!make_room(sequence, count)) return;  // it was the last one, and is gone
    slices_.push_back({&sequence, count});
    budget_ -= count;
  }
}

void Scheduler::admit() {
  std::sort(waiting_.begin(), waiting_.end(),
            [this](const auto& a, const auto& b) { return goes_before(*a, *b); });
  for (size_t i = 0; i < waiting_.size() && budget_ > 0;) {
    if (static_cast<int64_t>(running_.size()) == options_.max_sequences) return;
    Sequence& sequence = *waiting_[i];
    if (should_wait_for_prefix(sequence)) {
      ++i;
      continue;
    }
    take_known_prefix(sequence);
    const int64_t pages = divide_up(sequence.num_known + 1, options_.page_tokens);
    if (!prefixes_.make_room(pages - sequence.pages.size())) {
      sequence.pages.resize(0);
      sequence.num_computed = sequence.num_remembered = 0;
      return;  // nobody who comes later goes first
    }
    const int64_t count = std::min(sequence.num_left(), budget_);
    CHECK(sequence.pages.resize(divide_up(sequence.num_computed + count, options_.page_tokens)));
    slices_.push_back({&sequence, count});
    budget_ -= count;
    running_.push_back(std::move(waiting_[i]));
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
  }
}

bool Scheduler::should_wait_for_prefix(const Sequence& sequence) const {
  if (!options_.share_prefixes || sequence.request.score_prompt) return false;
  const std::span<const int32_t> own(sequence.tokens.data(),
                                     static_cast<size_t>(sequence.num_known - 1));
  const int64_t known = prefixes_.count_known(sequence.request.salt, own);
  for (const Slice& slice : slices_) {
    const Sequence& other = *slice.sequence;
    if (other.request.salt != sequence.request.salt || other.is_decoding()) continue;
    const auto differ = std::mismatch(own.begin(), own.end(), other.tokens.begin(),
                                      other.tokens.begin() + other.num_known);
    const int64_t common = std::distance(own.begin(), differ.first);
    if (common / options_.page_tokens > known) return true;
  }
  return false;
}

void Scheduler::take_known_prefix(Sequence& sequence) {
  if (!options_.share_prefixes || sequence.request.score_prompt) return;
  // The last token is run in any case: its logits are what is wanted.
  const std::span<const int32_t> known(sequence.tokens.data(),
                                       static_cast<size_t>(sequence.num_known - 1));
  const int64_t pages = prefixes_.match(sequence.request.salt, known, sequence.pages);
  sequence.num_computed = pages * options_.page_tokens;
  sequence.num_remembered = pages;
  if (sequence.usage.generated_tokens == 0) sequence.usage.cached_tokens = sequence.num_computed;
}

bool Scheduler::make_room(Sequence& sequence, int64_t count) {
  const int64_t pages = divide_up(sequence.num_computed + count, options_.page_tokens);
  while (!prefixes_.make_room(pages - sequence.pages.size())) {
    // There is one at least: the sequence itself.
    const auto last = std::find_if(order_.rbegin(), order_.rend(),
                                   [this](const Sequence* one) { return !is_planned(*one); });
    Sequence& loser = **last;
    order_.erase(std::prev(last.base()));
    preempt(loser);
    if (&loser == &sequence) return false;
  }
  CHECK(sequence.pages.resize(pages));
  return true;
}

bool Scheduler::is_planned(const Sequence& sequence) const {
  return std::any_of(slices_.begin(), slices_.end(),
                     [&](const Slice& slice) { return slice.sequence == &sequence; });
}

void Scheduler::preempt(Sequence& sequence) {
  sequence.pages.resize(0);
  sequence.tokens.resize(static_cast<size_t>(sequence.num_known));
  sequence.num_computed = sequence.num_remembered = 0;
  const auto found = std::find_if(running_.begin(), running_.end(),
                                  [&](const auto& one) { return one.get() == &sequence; });
  waiting_.push_back(std::move(*found));
  running_.erase(found);
  ++preemptions_;
}

void Scheduler::finish(const Slice& slice) {
  Sequence& sequence = *slice.sequence;
  sequence.num_computed += slice.count;
  given_.at(sequence.request.user) += slice.count;
  if (!options_.share_prefixes) return;
  // Not the pages of a guess, which may be taken back.
  const int64_t known = std::min(sequence.num_computed, sequence.num_known) / options_.page_tokens;
  if (known <= sequence.num_remembered) return;
  prefixes_.insert(sequence.request.salt, sequence.tokens, sequence.pages, known);
  sequence.num_remembered = known;
}

bool Scheduler::is_consistent() const {
  std::vector<int32_t> owners(static_cast<size_t>(pool_->num_pages()), 0);
  for (const List* list : {&running_, &waiting_}) {
    for (const auto& sequence : *list) {
      for (const int32_t page : sequence->pages.pages()) ++owners[static_cast<size_t>(page)];
    }
  }
  int64_t num_free = 0;
  for (int32_t page = 0; page < static_cast<int32_t>(owners.size()); ++page) {
    const int32_t wanted = owners[static_cast<size_t>(page)] + (prefixes_.holds(page) ? 1 : 0);
    if (pool_->owners(page) != wanted) return false;
    num_free += wanted == 0 ? 1 : 0;
  }
  return num_free == pool_->num_free() && prefixes_.is_consistent();
}

}  // namespace hachi::engine
