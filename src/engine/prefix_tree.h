// PrefixTree: the pages whose tokens are known, by all that stands before them, so that sequences
// with a common beginning (a system prompt, a conversation, the examples of a task) run it once.
//
// A node is one full page: the tokens at its positions after the tokens of the nodes above it. What
// a page holds is a function of those tokens alone, so a sequence that takes pages from here has
// the same logits, bit for bit, as one that computes them. A salt names a tree of its own, so that
// who has another salt can neither use nor, by the time that an answer takes, find out about a
// prompt.
//
// Nothing is allocated after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/pages.h"

namespace hachi::engine {

// Why a prompt's page was not in the tree.
enum class PrefixMiss {
  kNew,        // nobody sent this beginning yet, as far as is remembered
  kForgotten,  // it had to make room
  kOtherSalt,  // it was sent under another salt
};

class PrefixTree {
 public:
  // For the pages of `pool`, which outlives it, of `page_tokens` tokens each.
  PrefixTree(PagePool& pool, int64_t page_tokens);

  // Appends to the empty `pages` those known for the beginning of `tokens`, whole pages only.
  // Returns how many.
  int64_t match(uint64_t salt, std::span<const int32_t> tokens, PageList& pages);

  // As match, but only counts.
  int64_t count_known(uint64_t salt, std::span<const int32_t> tokens) const;

  // Why the page of `tokens` after the first `num_known` pages is not there; `tokens` reach as far.
  PrefixMiss explain_miss(uint64_t salt, std::span<const int32_t> tokens, int64_t num_known) const;

  // Remembers the first `count` pages of a sequence, which hold the beginning of `tokens`. Where
  // another page is known for the same tokens already, that one stays.
  void insert(uint64_t salt, std::span<const int32_t> tokens, const PageList& pages, int64_t count);

  // Forgets pages that nobody else owns, the longest unused first, until the pool has
  // `num_free` free ones or there are no more to forget. Returns whether it has.
  bool make_room(int64_t num_free);

  // Pages that it owns.
  int64_t size() const { return size_; }
  bool holds(int32_t page) const { return node(page).page.has_value(); }
  // Pages forgotten so far.
  int64_t evictions() const { return evictions_; }

  // True if parents, children, order and table agree; for tests.
  bool is_consistent() const;

 private:
  static constexpr int32_t kNone = -1;

  // A page and its node have the same number.
  struct Node {
    std::optional<PageRef> page;  // none: no node
    uint64_t salt = 0;
    uint64_t text = 0;  // a hash of its tokens and all before them
    int32_t parent = kNone;
    int32_t children = 0;
    int32_t older = kNone, newer = kNone;  // in the order of use
  };

  Node& node(int32_t page) { return nodes_[static_cast<size_t>(page)]; }
  const Node& node(int32_t page) const { return nodes_[static_cast<size_t>(page)]; }
  std::span<const int32_t> tokens_of(int32_t page) const;
  // The last node of the known beginning of `tokens`, after visit(page) of each.
  template <class Visit>
  int32_t walk(uint64_t salt, std::span<const int32_t> tokens, const Visit& visit) const;
  // The slot of the node with these tokens after `parent`, whose hash is `text`, or the empty one
  // where it would be.
  size_t find_slot(uint64_t salt, uint64_t text, int32_t parent,
                   std::span<const int32_t> tokens) const;
  size_t slot_of(int32_t page) const;
  void clear_slot(size_t slot);
  void add(uint64_t salt, uint64_t text, int32_t parent, std::span<const int32_t> tokens,
           PageRef page);
  void forget(int32_t page);
  // Marks a node and all above it as just used: a parent is always newer than its children.
  void touch_path(int32_t page);
  void unlink(int32_t page);
  void link_newest(int32_t page);

  PagePool* pool_;
  int64_t page_tokens_;
  std::vector<Node> nodes_;
  std::vector<int32_t> tokens_;  // [pages, page_tokens]
  std::vector<int32_t> table_;   // open addressing with linear probing; kNone: empty
  struct Sent {
    uint64_t text = 0, salt = 0;
  };
  std::vector<Sent> sent_;  // by hash of the text, the latest: what was known, and under which salt
  int32_t oldest_ = kNone, newest_ = kNone;
  int64_t size_ = 0;
  int64_t evictions_ = 0;
};

}  // namespace hachi::engine
