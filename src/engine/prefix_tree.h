// PrefixTree: the pages whose tokens are known, by all that stands before them, so that sequences
// with a common beginning (a system prompt, a conversation, the examples of a task) run it once.
//
// A node is one full page: the tokens at its positions after the tokens of the nodes above it. What
// a page holds is a function of those tokens alone, so a sequence that takes pages from here has
// the same logits, bit for bit, as one that computes them. A salt names a tree of its own, so that
// who has another salt can neither use nor, by the time that an answer takes, find out about a
// prompt.
//
// A page that has to make room on the device moves to the processor's memory, if there is any for
// it, and back when a prompt begins with it: down a path of the tree first come nodes whose pages
// are on the device, then nodes whose pages are on the host. There the longest unused is forgotten
// when others need the room.
//
// Nothing is allocated after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/host_pages.h"
#include "engine/pages.h"

namespace hachi::engine {

// Why a prompt's page was not in the tree.
enum class PrefixMiss {
  kNew,        // nobody sent this beginning yet, as far as is remembered
  kForgotten,  // it had to make room
  kOtherSalt,  // it was sent under another salt
};

class PrefixTree {
  static constexpr int32_t kNone = -1;

 public:
  // For the pages of `pool` and `host`, which outlive it, of `page_tokens` tokens each.
  PrefixTree(PagePool& pool, HostPages& host, int64_t page_tokens);

  // Appends to the empty `pages` those on the device that are known for the beginning of `tokens`,
  // whole pages only. Returns how many.
  int64_t match(uint64_t salt, std::span<const int32_t> tokens, PageList& pages);

  // After match(), and room for them was made: appends those that are on the host, into pages that
  // it takes from the pool, as long as it has some. Returns how many.
  int64_t load(uint64_t salt, std::span<const int32_t> tokens, PageList& pages);

  // The pages that match() and load() would append.
  int64_t count_known(uint64_t salt, std::span<const int32_t> tokens) const;

  // Why the page of `tokens` after the first `num_known` pages is not there; `tokens` reach as far.
  PrefixMiss explain_miss(uint64_t salt, std::span<const int32_t> tokens, int64_t num_known) const;

  // Remembers the first `count` pages of a sequence, which hold the beginning of `tokens`. Where
  // another page on the device is known for the same tokens already, that one stays.
  void insert(uint64_t salt, std::span<const int32_t> tokens, const PageList& pages, int64_t count);

  // Moves pages that nobody else owns to the host, or forgets them, the longest unused first, until
  // the pool has `num_free` free ones or there are no more of them. Returns whether it has.
  bool make_room(int64_t num_free);
  // The same for the next plan, as far as pages should move to the host: they do so while the step
  // runs that was planned, and nobody may take a page before that was given to the model.
  void make_room_ahead(int64_t num_free);
  // False if make_room() would fail: a look, which moves nothing.
  bool may_have_room(int64_t num_free) const;
  // Forgets pages on the host, as make_room().
  bool make_host_room(int64_t num_free);

  // Pages of a path that are not forgotten until they are released, though they may move. Who
  // claims must see to it that all that is claimed would fit into the host's pages.
  struct Claim {
    int32_t last = kNone;  // node
    int64_t pages = 0;
  };
  // Of those at the beginning of `tokens` whose pages are those of `pages`.
  Claim claim(uint64_t salt, std::span<const int32_t> tokens, const PageList& pages);
  void release(const Claim& claim);

  // Whether pages should move to the host that could as well be forgotten: at first they should.
  void set_moves_out(bool moves_out) { moves_out_ = moves_out; }

  int64_t size() const { return size_; }            // pages that it owns on the device
  int64_t host_size() const { return host_size_; }  // and on the host
  // So far: pages forgotten, moved to the host, and moved back.
  int64_t evictions() const { return evictions_; }
  int64_t moved_out() const { return moved_out_; }
  int64_t moved_in() const { return moved_in_; }

  // For tests: adds 1 for each page that it owns, and each of these claims that it knows.
  void count_owned(std::span<int32_t> pages, std::span<int32_t> host_pages) const;
  int64_t num_claims() const;
  // True if parents, children, orders and table agree.
  bool is_consistent() const;

 private:
  struct Node {
    std::optional<PageRef> page;  // on the device, or
    std::optional<PageRef> host;  // on the host; neither: no node
    uint64_t salt = 0;
    uint64_t text = 0;  // a hash of its tokens and all before them
    int32_t parent = kNone;
    int32_t children = 0;
    int32_t device_children = 0;           // those on the device
    int32_t claims = 0;                    // that end here
    int32_t older = kNone, newer = kNone;  // in the order of use of those on its side
  };
  struct Order {
    int32_t oldest = kNone, newest = kNone;
  };

  Node& node(int32_t number) { return nodes_[static_cast<size_t>(number)]; }
  const Node& node(int32_t number) const { return nodes_[static_cast<size_t>(number)]; }
  std::span<const int32_t> tokens_of(int32_t number) const;
  // The last node of the known beginning of `tokens`, after visit(node) of each.
  template <class Visit>
  int32_t walk(uint64_t salt, std::span<const int32_t> tokens, const Visit& visit) const;
  // The slot of the node with these tokens after `parent`, whose hash is `text`, or the empty one
  // where it would be.
  size_t find_slot(uint64_t salt, uint64_t text, int32_t parent,
                   std::span<const int32_t> tokens) const;
  size_t slot_of(int32_t number) const;
  void clear_slot(size_t slot);
  int32_t add(uint64_t salt, uint64_t text, int32_t parent, std::span<const int32_t> tokens,
              PageRef page);
  void forget(int32_t number);
  using Save = void (HostPages::*)(int32_t page, int32_t host_page);
  bool make_room(int64_t num_free, Save save);
  // Gives up its page on the device, if it can.
  void evict(int32_t number, Save save);
  // How many free pages make_room() can make at most.
  int64_t most_room() const;
  void put_on_host(int32_t number, PageRef host);
  void put_on_device(int32_t number, PageRef page);
  // Marks a node and all above it as just used: a parent is always newer than its children.
  void touch_path(int32_t number);
  Order& order_of(int32_t number) { return node(number).page ? on_device_ : on_host_; }
  void unlink(int32_t number);
  void link_newest(int32_t number);
  bool is_consistent(const Order& order, int64_t size) const;

  PagePool* pool_;
  HostPages* host_;
  int64_t page_tokens_;
  std::vector<Node> nodes_;  // as many as there are pages on both sides
  std::vector<int32_t> free_nodes_;
  std::vector<int32_t> tokens_;  // [nodes, page_tokens]
  std::vector<int32_t> table_;   // open addressing with linear probing; kNone: empty
  struct Sent {
    uint64_t text = 0, salt = 0;
  };
  std::vector<Sent> sent_;  // by hash of the text, the latest: what was known, and under which salt
  Order on_device_, on_host_;
  int64_t size_ = 0, host_size_ = 0;
  int64_t evictions_ = 0, moved_out_ = 0, moved_in_ = 0;
  bool moves_out_ = true;
};

}  // namespace hachi::engine
