// Scheduler: which tokens of which sequences the next step runs, and who holds which pages.
//
// A step has a budget of tokens. Sequences that decode go first, each with its next token; what is
// left of the budget goes to prompts, in chunks, so that a long prompt never stalls the answers of
// others; the more of them wait, the larger. Among prompts the higher priority goes first, then the
// user who was given the fewest tokens, then who came first. Who comes anew counts as given what
// those who are here were given in the mean, so that nobody of the same priority waits for ever
// behind those who come and go.
//
// Pages are taken as a sequence grows. When none is free, the prefix tree forgets some; when it has
// none to forget, the sequence that stands last in the order above gives up its pages and waits. So
// whoever is first always goes on. What is computed of it moves to the processor's memory, where
// there is room and that costs less time (swap.cc), or it will run again from its beginning: with
// the same result.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/host_pages.h"
#include "engine/pages.h"
#include "engine/prefix_tree.h"
#include "engine/sequence.h"
#include "engine/swap_cost.h"

namespace hachi::engine {

// What becomes of what is computed of a sequence that gives up its pages.
enum class Preempt {
  kAuto,       // whichever of the two takes less time
  kSwap,       // it is kept, as long as the processor's memory has room
  kRecompute,  // it runs again, but for what the prefix tree still has then
};

struct SchedulerOptions {
  int64_t max_sequences = 64;  // that run at once
  int64_t step_tokens = 256;   // of a step; at least max_sequences
  int64_t prompt_tokens = 64;  // of prompts in a step in which others decode, at most
  int64_t page_tokens = 32;
  bool share_prefixes = true;
  Preempt preempt = Preempt::kAuto;
};

// The next `count` tokens of a sequence that are not computed, from position `first`.
struct Slice {
  Sequence* sequence;
  int64_t first;
  int64_t count;
};

// Tokens of the prompts that were admitted: in the cache, or why not.
struct PrefixCounts {
  int64_t hit = 0;
  int64_t hit_host = 0;        // of those, in the processor's memory
  int64_t miss_new = 0;        // nobody sent this beginning yet
  int64_t miss_forgotten = 0;  // it had to make room
  int64_t miss_other_salt = 0;
  int64_t miss_page_end = 0;    // of the last page, which is not full, or holds the last token
  int64_t miss_not_shared = 0;  // the request, or the engine, takes nothing from the cache
};

// Sequences that gave up their pages and kept what they held.
struct SwapCounts {
  int64_t waiting = 0;      // now
  int64_t sequences = 0;    // so far
  int64_t out = 0, in = 0;  // pages copied so far, without those of the prefix tree
};

class Scheduler {
 public:
  Scheduler(PagePool& pool, HostPages& host, const SchedulerOptions& options);

  // Takes part from the next step on. It fits into the pool if it is alone.
  void add(std::unique_ptr<Sequence> sequence);
  // Gives up its pages.
  std::unique_ptr<Sequence> remove(Sequence& sequence);

  // The next step; empty if nothing can run. Valid until the next call of anything. Before it runs,
  // and also if it is empty, the host's pages must have made their copies (HostPages::run).
  std::span<const Slice> plan();
  // Tells that the model was given a slice: what is planned from here on runs after it, and finds
  // its keys and values in the pages.
  void start(const Slice& slice);

  // The tokens of what plan() returned, if the step's time tells what those of prompts cost; else
  // 0.
  int64_t tokens_to_time() const;
  // Tells that such a step took so long.
  void learn_time(int64_t tokens, double seconds);

  std::span<const std::unique_ptr<Sequence>> running() const { return running_; }
  std::span<const std::unique_ptr<Sequence>> waiting() const { return waiting_; }
  const PrefixTree& prefixes() const { return prefixes_; }
  const PrefixCounts& prefix_counts() const { return prefix_counts_; }
  const SwapCounts& swap_counts() const { return swap_counts_; }
  int64_t preemptions() const { return preemptions_; }

  // True if each page, on both sides, is free, or owned as often as sequences and the tree hold it;
  // for tests.
  bool is_consistent() const;

 private:
  using List = std::vector<std::unique_ptr<Sequence>>;

  // Each sequence that decodes, one token and what the budget allows of its guess.
  void plan_decodes();
  void plan_prompts();
  void admit();
  // Tokens of a prompt that can run in this step; 0: it waits for its reader.
  int64_t prompt_count(const Sequence& sequence) const;
  // Moves pages to the host that the next plan will want, so that its step need not wait for it.
  void make_room_ahead();
  // A prompt that runs in this step begins like its own, further than is known yet.
  bool should_wait_for_prefix(const Sequence& sequence) const;
  void count_prefix(Sequence& sequence, int64_t pages_from_host);
  // Pages for `count` more tokens; false if the sequence itself had to give up its own.
  bool make_room(Sequence& sequence, int64_t count);
  void preempt(Sequence& sequence);
  // If nothing can run, as all that have pages wait for their readers: takes those of the one that
  // stands last. Returns whether there was one.
  bool preempt_paused();
  bool is_planned(const Sequence& sequence) const;
  // Its next `count` tokens are of this step.
  void take(Sequence& sequence, int64_t count);
  // What of its tokens may come from the cache.
  std::span<const int32_t> takeable(const Sequence& sequence) const;

  // The way to the processor's memory and back (swap.cc).
  bool should_swap(const Sequence& sequence) const;
  // Keeps what is computed; false, and nothing changed, if there is no room or it costs too much.
  bool swap_out(Sequence& sequence);
  // After its known prefix was taken, and room made for the rest: brings what is on the host.
  // Returns the pages that came from the prefix tree.
  int64_t swap_in(Sequence& sequence);
  void end_swap(Sequence& sequence);

  int64_t pages_for(int64_t tokens) const;

  PagePool* pool_;
  HostPages* host_;
  SchedulerOptions options_;
  PrefixTree prefixes_;
  List running_;                  // in the order in which they were admitted
  List waiting_;                  // in the order in which they go
  std::vector<Sequence*> order_;  // of running_, who goes first
  std::vector<Slice> slices_;
  int64_t budget_ = 0;
  int64_t admitted_pages_ = 0;                   // wanted by those that were admitted together last
  std::unordered_map<uint64_t, int64_t> given_;  // tokens to each user that has a request here
  PrefixCounts prefix_counts_;
  int64_t preemptions_ = 0;
  SwapCost swap_cost_;
  SwapCounts swap_counts_;
  int64_t swapped_pages_ = 0;  // that sequences which are swapped out have on both sides
};

}  // namespace hachi::engine
