#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace hachi::engine {
namespace {

bool goes_before(const Sequence& a, const Sequence& b) {
  if (a.request.priority != b.request.priority) return a.request.priority > b.request.priority;
  if (*a.given != *b.given) return *a.given < *b.given;
  return a.arrival < b.arrival;
}

}  // namespace

Scheduler::Scheduler(PagePool& pool, HostPages& host, const SchedulerOptions& options)
    : pool_(&pool),
      host_(&host),
      options_(options),
      prefixes_(pool, host, options.page_tokens),
      swap_cost_(host.copy_seconds()) {
  CHECK(options.prompt_tokens > 0 && options.max_sequences > 0);
  CHECK(options.step_tokens >= options.max_sequences);
  const auto most = static_cast<size_t>(options.max_sequences);
  running_.reserve(most);
  order_.reserve(most);
  slices_.reserve(most);
}

int64_t Scheduler::pages_for(int64_t tokens) const {
  return (tokens + options_.page_tokens - 1) / options_.page_tokens;
}

// The last one of a sequence's tokens is run in any case, as its logits are what is wanted.
std::span<const int32_t> Scheduler::takeable(const Sequence& sequence) const {
  const std::span<const int32_t> tokens(sequence.tokens);
  if (sequence.is_swapped_out) {
    return tokens.first(static_cast<size_t>(sequence.claim.pages * options_.page_tokens));
  }
  if (!options_.share_prefixes || !sequence.can_share()) return {};
  return tokens.first(static_cast<size_t>(sequence.num_known - 1));
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  // Who comes anew starts with the mean of those who are here, rounded up: not with a lead from
  // before, and not with the least, for where some always wait that would stay the least, and all
  // who come would go before those who were given more.
  int64_t level = 0;
  for (const auto& [user, tokens] : given_) level += tokens;
  const auto users = static_cast<int64_t>(given_.size());
  if (users > 0) level = (level + users - 1) / users;
  sequence->given = &given_.try_emplace(sequence->request.user, level).first->second;
  waiting_.push_back(std::move(sequence));
  if (waiting_.capacity() < running_.size() + waiting_.size()) {
    waiting_.reserve(2 * (running_.size() + waiting_.size()));  // for those that are put back
  }
}

std::unique_ptr<Sequence> Scheduler::remove(Sequence& sequence) {
  const auto same = [&](const auto& one) { return one.get() == &sequence; };
  for (List* list : {&running_, &waiting_}) {
    const auto found = std::find_if(list->begin(), list->end(), same);
    if (found == list->end()) continue;
    std::unique_ptr<Sequence> removed = std::move(*found);
    list->erase(found);
    removed->pages.resize(0);
    if (removed->is_swapped_out) end_swap(*removed);
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
            [](const Sequence* a, const Sequence* b) { return goes_before(*a, *b); });
  plan_decodes();
  if (!slices_.empty()) budget_ = std::min(budget_, options_.prompt_tokens);
  plan_prompts();
  admit();
  make_room_ahead();
  return slices_;
}

// As many pages as were wanted the last time that sequences were admitted, and one for each that
// runs; of a small cache not much, as what moves early may be wanted again.
void Scheduler::make_room_ahead() {
  constexpr int64_t kMostOfCache = 16;
  if (slices_.empty()) return;
  const auto wanted = admitted_pages_ + static_cast<int64_t>(running_.size());
  prefixes_.make_room_ahead(std::min(wanted, pool_->num_pages() / kMostOfCache));
}

// In order, so that who must give up pages for another is not planned yet.
void Scheduler::plan_decodes() {
  int64_t left = 0;
  for (const Sequence* sequence : order_) left += sequence->is_decoding() ? 1 : 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    Sequence& sequence = *order_[i];
    if (!sequence.is_decoding()) continue;
    --left;  // each of those behind it has a token of the budget
    if (sequence.waits_for_reader() || sequence.waits_for_token()) continue;
    const int64_t count = std::min(sequence.num_left(), budget_ - left);
    if (!make_room(sequence, count)) return;  // it was the last one, and is gone
    take(sequence, count);
  }
}

void Scheduler::plan_prompts() {
  for (size_t i = 0; i < order_.size() && budget_ > 0; ++i) {
    Sequence& sequence = *order_[i];
    if (sequence.is_decoding()) continue;
    const int64_t count = prompt_count(sequence);
    if (count == 0) continue;
    if (!make_room(sequence, count)) return;
    take(sequence, count);
  }
}

int64_t Scheduler::prompt_count(const Sequence& sequence) const {
  // Who was put back while a token of it was drawn begins again when that is known.
  if (sequence.waits_for_reader() || sequence.num_drawing > 0) return 0;
  const int64_t count = std::min(sequence.num_left(), budget_);
  // A token that is scored is an event, and the answer's first token is one more.
  const int64_t room = sequence.stream->room() - 1;
  return sequence.request.score_prompt ? std::min(count, room) : count;
}

void Scheduler::admit() {
  std::sort(waiting_.begin(), waiting_.end(),
            [](const auto& a, const auto& b) { return goes_before(*a, *b); });
  int64_t wanted = 0;
  for (size_t i = 0; i < waiting_.size() && budget_ > 0;) {
    if (static_cast<int64_t>(running_.size()) == options_.max_sequences) return;
    Sequence& sequence = *waiting_[i];
    if (prompt_count(sequence) == 0 || should_wait_for_prefix(sequence)) {
      ++i;
      continue;
    }
    prefixes_.match(sequence.request.salt, takeable(sequence), sequence.pages);
    // Room for all that is known, though it is taken chunk by chunk: who starts should go on.
    const int64_t missing = pages_for(sequence.num_known) - sequence.pages.size();
    if (!prefixes_.may_have_room(missing) || !prefixes_.make_room(missing)) {
      sequence.pages.resize(0);
      if (preempt_paused()) continue;
      return;  // nobody who comes later goes first
    }
    wanted += missing;
    admitted_pages_ = wanted;
    const int64_t from_host = swap_in(sequence);
    const int64_t count = prompt_count(sequence);
    if (!sequence.was_admitted) count_prefix(sequence, from_host);
    sequence.was_admitted = true;
    CHECK(sequence.pages.resize(pages_for(sequence.num_computed + count)));
    take(sequence, count);
    running_.push_back(std::move(waiting_[i]));
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
  }
}

bool Scheduler::should_wait_for_prefix(const Sequence& sequence) const {
  if (sequence.is_swapped_out) return false;
  const std::span<const int32_t> own = takeable(sequence);
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

void Scheduler::count_prefix(Sequence& sequence, int64_t pages_from_host) {
  sequence.usage.cached_tokens = sequence.num_computed;
  sequence.stream->start(sequence.num_computed);
  prefix_counts_.hit += sequence.num_computed;
  prefix_counts_.hit_host += pages_from_host * options_.page_tokens;
  const int64_t missed = sequence.num_known - sequence.num_computed;
  if (!options_.share_prefixes || !sequence.can_share()) {
    prefix_counts_.miss_not_shared += missed;
    return;
  }
  const auto text = takeable(sequence);
  const int64_t known = sequence.num_computed / options_.page_tokens;
  const int64_t pages = static_cast<int64_t>(text.size()) / options_.page_tokens - known;
  const int64_t missed_in_pages = pages * options_.page_tokens;
  prefix_counts_.miss_page_end += missed - missed_in_pages;
  if (pages == 0) return;
  switch (prefixes_.explain_miss(sequence.request.salt, text, known)) {
    case PrefixMiss::kNew:
      prefix_counts_.miss_new += missed_in_pages;
      break;
    case PrefixMiss::kForgotten:
      prefix_counts_.miss_forgotten += missed_in_pages;
      break;
    case PrefixMiss::kOtherSalt:
      prefix_counts_.miss_other_salt += missed_in_pages;
      break;
  }
}

bool Scheduler::make_room(Sequence& sequence, int64_t count) {
  const int64_t pages = pages_for(sequence.num_computed + count);
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
  sequence.tokens.resize(static_cast<size_t>(sequence.num_known));
  if (!swap_out(sequence)) sequence.num_computed = sequence.num_remembered = 0;
  sequence.pages.resize(0);
  const auto found = std::find_if(running_.begin(), running_.end(),
                                  [&](const auto& one) { return one.get() == &sequence; });
  waiting_.push_back(std::move(*found));
  running_.erase(found);
  ++preemptions_;
}

bool Scheduler::preempt_paused() {
  const bool all_wait = std::all_of(running_.begin(), running_.end(),
                                    [](const auto& one) { return one->waits_for_reader(); });
  if (order_.empty() || !slices_.empty() || !all_wait) return false;
  Sequence& last = *order_.back();
  order_.pop_back();
  preempt(last);
  return true;
}

void Scheduler::take(Sequence& sequence, int64_t count) {
  slices_.push_back({&sequence, sequence.num_computed, count});
  budget_ -= count;
}

void Scheduler::start(const Slice& slice) {
  Sequence& sequence = *slice.sequence;
  sequence.num_computed += slice.count;
  *sequence.given += slice.count;
  const bool is_at_end = sequence.num_computed >= sequence.num_known + sequence.num_drawing;
  if (is_at_end && sequence.request.max_tokens != 0) ++sequence.num_drawing;
  if (!options_.share_prefixes) return;
  // Not what is guessed or being drawn.
  const int64_t known = std::min(sequence.num_computed, sequence.num_known) / options_.page_tokens;
  if (known <= sequence.num_remembered) return;
  prefixes_.insert(sequence.request.salt, sequence.tokens, sequence.pages, known);
  sequence.num_remembered = known;
}

bool Scheduler::is_consistent() const {
  std::vector<int32_t> owners(static_cast<size_t>(pool_->num_pages()), 0);
  std::vector<int32_t> host_owners(static_cast<size_t>(host_->pool().num_pages()), 0);
  int64_t swapped_pages = 0, claims = 0;
  for (const List* list : {&running_, &waiting_}) {
    for (const auto& sequence : *list) {
      for (const int32_t page : sequence->pages.pages()) ++owners[static_cast<size_t>(page)];
      for (const int32_t page : sequence->saved.pages()) ++host_owners[static_cast<size_t>(page)];
      swapped_pages += sequence->claim.pages + sequence->saved.size();
      claims += sequence->claim.pages > 0 ? 1 : 0;
    }
  }
  prefixes_.count_owned(owners, host_owners);
  const auto agrees = [](const PagePool& pool, std::span<const int32_t> wanted) {
    int64_t num_free = 0;
    for (size_t page = 0; page < wanted.size(); ++page) {
      if (pool.owners(static_cast<int32_t>(page)) != wanted[page]) return false;
      num_free += wanted[page] == 0 ? 1 : 0;
    }
    return num_free == pool.num_free();
  };
  return agrees(*pool_, owners) && agrees(host_->pool(), host_owners) &&
         host_->pool().num_shared() == 0 && swapped_pages == swapped_pages_ &&
         claims == prefixes_.num_claims() && prefixes_.is_consistent();
}

}  // namespace hachi::engine
