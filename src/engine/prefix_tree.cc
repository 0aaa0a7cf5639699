#include "engine/prefix_tree.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/check.h"
#include "engine/prefix_hash.h"

namespace hachi::engine {

PrefixTree::PrefixTree(PagePool& pool, HostPages& host, int64_t page_tokens)
    : pool_(&pool),
      host_(&host),
      page_tokens_(page_tokens),
      nodes_(static_cast<size_t>(pool.num_pages() + host.pool().num_pages())),
      tokens_(nodes_.size() * static_cast<size_t>(page_tokens)),
      table_(std::bit_ceil(2 * nodes_.size() + 2), kNone),
      sent_(4 * table_.size()) {
  free_nodes_.reserve(nodes_.size());
  for (size_t i = nodes_.size(); i-- > 0;) free_nodes_.push_back(static_cast<int32_t>(i));
}

std::span<const int32_t> PrefixTree::tokens_of(int32_t number) const {
  const auto count = static_cast<size_t>(page_tokens_);
  return {tokens_.data() + static_cast<size_t>(number) * count, count};
}

size_t PrefixTree::find_slot(uint64_t salt, uint64_t text, int32_t parent,
                             std::span<const int32_t> tokens) const {
  size_t slot = spread(mix(text, salt)) & (table_.size() - 1);
  for (; table_[slot] != kNone; slot = (slot + 1) & (table_.size() - 1)) {
    const Node& known = node(table_[slot]);
    if (known.text != text || known.parent != parent || known.salt != salt) continue;
    const auto its = tokens_of(table_[slot]);
    if (std::equal(its.begin(), its.end(), tokens.begin(), tokens.end())) break;
  }
  return slot;
}

size_t PrefixTree::slot_of(int32_t number) const {
  const Node& one = node(number);
  return find_slot(one.salt, one.text, one.parent, tokens_of(number));
}

// Moves what stands behind the slot forward, so that no search ends too early.
void PrefixTree::clear_slot(size_t slot) {
  const size_t mask = table_.size() - 1;
  size_t hole = slot;
  for (size_t next = (hole + 1) & mask; table_[next] != kNone; next = (next + 1) & mask) {
    const int32_t number = table_[next];
    const size_t wanted = spread(mix(node(number).text, node(number).salt)) & mask;
    if (((next - wanted) & mask) >= ((next - hole) & mask)) {
      table_[hole] = number;
      hole = next;
    }
  }
  table_[hole] = kNone;
}

template <class Visit>
int32_t PrefixTree::walk(uint64_t salt, std::span<const int32_t> tokens, const Visit& visit) const {
  const auto step = static_cast<size_t>(page_tokens_);
  int32_t last = kNone;
  uint64_t text = kNoText;
  for (size_t at = 0; at + step <= tokens.size(); at += step) {
    const auto its = tokens.subspan(at, step);
    text = hash_text(text, its);
    const int32_t number = table_[find_slot(salt, text, last, its)];
    if (number == kNone) break;
    visit(number);
    last = number;
  }
  return last;
}

int64_t PrefixTree::match(uint64_t salt, std::span<const int32_t> tokens, PageList& pages) {
  CHECK(pages.size() == 0);
  touch_path(walk(salt, tokens, [&](int32_t number) {
    if (node(number).page) pages.append(node(number).page->share());
  }));
  return pages.size();
}

int64_t PrefixTree::load(uint64_t salt, std::span<const int32_t> tokens, PageList& pages) {
  const int64_t before = pages.size();
  int64_t at = 0;
  const int32_t last = walk(salt, tokens, [&](int32_t number) {
    if (at++ != pages.size()) return;  // it is there already, or the pool was empty before
    auto page = pool_->take();
    if (!page) return;
    pages.append(page->share());
    host_->load(page->page(), node(number).host->page());
    put_on_device(number, *std::move(page));
    ++moved_in_;
  });
  if (pages.size() > before) touch_path(last);
  return pages.size() - before;
}

int64_t PrefixTree::count_known(uint64_t salt, std::span<const int32_t> tokens) const {
  int64_t count = 0;
  walk(salt, tokens, [&](int32_t) { ++count; });
  return count;
}

PrefixMiss PrefixTree::explain_miss(uint64_t salt, std::span<const int32_t> tokens,
                                    int64_t num_known) const {
  const auto step = static_cast<size_t>(page_tokens_);
  uint64_t text = kNoText;
  for (size_t i = 0; i <= static_cast<size_t>(num_known); ++i) {
    text = hash_text(text, tokens.subspan(i * step, step));
  }
  const Sent& sent = sent_[text & (sent_.size() - 1)];
  if (sent.text != text) return PrefixMiss::kNew;
  return sent.salt == salt ? PrefixMiss::kForgotten : PrefixMiss::kOtherSalt;
}

void PrefixTree::insert(uint64_t salt, std::span<const int32_t> tokens, const PageList& pages,
                        int64_t count) {
  const auto step = static_cast<size_t>(page_tokens_);
  CHECK(count <= pages.size() && static_cast<size_t>(count) * step <= tokens.size());
  int32_t parent = kNone;
  uint64_t text = kNoText;
  for (int64_t i = 0; i < count; ++i) {
    const auto its = tokens.subspan(static_cast<size_t>(i) * step, step);
    text = hash_text(text, its);
    int32_t number = table_[find_slot(salt, text, parent, its)];
    if (number == kNone) {
      number = add(salt, text, parent, its, pages.share(i));
    } else if (node(number).host) {
      // The sequence had reasons to compute it again; what is behind it wants it on the device.
      put_on_device(number, pages.share(i));
    }
    parent = number;
  }
  touch_path(parent);
}

int32_t PrefixTree::add(uint64_t salt, uint64_t text, int32_t parent,
                        std::span<const int32_t> tokens, PageRef page) {
  const int32_t number = free_nodes_.back();
  free_nodes_.pop_back();
  node(number) = {.page = std::move(page), .salt = salt, .text = text, .parent = parent};
  std::copy(tokens.begin(), tokens.end(),
            tokens_.begin() + static_cast<int64_t>(number) * page_tokens_);
  table_[slot_of(number)] = number;
  sent_[text & (sent_.size() - 1)] = {text, salt};
  if (parent != kNone) ++node(parent).children, ++node(parent).device_children;
  link_newest(number);
  ++size_;
  return number;
}

void PrefixTree::forget(int32_t number) {
  Node& one = node(number);
  CHECK(one.children == 0 && one.claims == 0);
  clear_slot(slot_of(number));
  if (one.parent != kNone) {
    --node(one.parent).children;
    if (one.page) --node(one.parent).device_children;
  }
  unlink(number);
  --(one.page ? size_ : host_size_);
  one.page.reset();
  one.host.reset();
  free_nodes_.push_back(number);
  ++evictions_;
}

void PrefixTree::put_on_host(int32_t number, PageRef host) {
  Node& one = node(number);
  unlink(number);
  if (one.parent != kNone) --node(one.parent).device_children;
  one.page.reset();
  one.host = std::move(host);
  link_newest(number);
  --size_;
  ++host_size_;
}

void PrefixTree::put_on_device(int32_t number, PageRef page) {
  Node& one = node(number);
  unlink(number);
  if (one.parent != kNone) ++node(one.parent).device_children;
  one.host.reset();
  one.page = std::move(page);
  link_newest(number);
  ++size_;
  --host_size_;
}

// A node behind which others stand on the host, or that is claimed, can only move: there is room,
// as among those others is one that can be forgotten unless they are claimed, and all that is
// claimed fits.
void PrefixTree::evict(int32_t number, Save save) {
  const Node& one = node(number);
  const bool must_move = one.children > 0 || one.claims > 0;
  if ((must_move || moves_out_) && make_host_room(1)) {
    PageRef host = *host_->pool().take();
    (host_->*save)(one.page->page(), host.page());
    put_on_host(number, std::move(host));
    ++moved_out_;
  } else if (!must_move) {
    forget(number);
  }
}

bool PrefixTree::make_room(int64_t num_free) { return make_room(num_free, &HostPages::save); }

void PrefixTree::make_room_ahead(int64_t num_free) {
  if (!moves_out_ || host_->pool().num_pages() == 0) return;
  make_room(std::min(num_free, most_room()), &HostPages::save_beside);
}

bool PrefixTree::make_room(int64_t num_free, Save save) {
  for (int32_t at = on_device_.oldest; at != kNone && pool_->num_free() < num_free;) {
    const int32_t newer = node(at).newer;
    if (node(at).device_children == 0 && pool_->owners(node(at).page->page()) == 1) evict(at, save);
    at = newer;
  }
  return pool_->num_free() >= num_free;
}

// Whatever is shared is shared with the tree.
int64_t PrefixTree::most_room() const { return pool_->num_free() + size_ - pool_->num_shared(); }

bool PrefixTree::may_have_room(int64_t num_free) const { return most_room() >= num_free; }

bool PrefixTree::make_host_room(int64_t num_free) {
  const PagePool& pool = host_->pool();
  if (pool.num_pages() < num_free) return false;
  for (int32_t at = on_host_.oldest; at != kNone && pool.num_free() < num_free;) {
    const int32_t newer = node(at).newer;
    if (node(at).children == 0 && node(at).claims == 0) forget(at);
    at = newer;
  }
  return pool.num_free() >= num_free;
}

PrefixTree::Claim PrefixTree::claim(uint64_t salt, std::span<const int32_t> tokens,
                                    const PageList& pages) {
  Claim claim;
  int64_t at = 0;
  walk(salt, tokens, [&](int32_t number) {
    const auto& page = node(number).page;
    if (at++ != claim.pages || !page) return;
    if (page->page() != pages.pages()[static_cast<size_t>(claim.pages)]) return;
    claim = {number, claim.pages + 1};
  });
  if (claim.last != kNone) ++node(claim.last).claims;
  touch_path(claim.last);
  return claim;
}

void PrefixTree::release(const Claim& claim) {
  if (claim.last == kNone) return;
  CHECK(node(claim.last).claims > 0);
  --node(claim.last).claims;
}

void PrefixTree::touch_path(int32_t number) {
  for (; number != kNone; number = node(number).parent) {
    unlink(number);
    link_newest(number);
  }
}

void PrefixTree::unlink(int32_t number) {
  const Node& gone = node(number);
  Order& order = order_of(number);
  (gone.older == kNone ? order.oldest : node(gone.older).newer) = gone.newer;
  (gone.newer == kNone ? order.newest : node(gone.newer).older) = gone.older;
}

void PrefixTree::link_newest(int32_t number) {
  Order& order = order_of(number);
  node(number).older = order.newest;
  node(number).newer = kNone;
  (order.newest == kNone ? order.oldest : node(order.newest).newer) = number;
  order.newest = number;
}

void PrefixTree::count_owned(std::span<int32_t> pages, std::span<int32_t> host_pages) const {
  for (const Node& one : nodes_) {
    if (one.page) ++pages[static_cast<size_t>(one.page->page())];
    if (one.host) ++host_pages[static_cast<size_t>(one.host->page())];
  }
}

int64_t PrefixTree::num_claims() const {
  int64_t sum = 0;
  for (const Node& one : nodes_) sum += one.page || one.host ? one.claims : 0;
  return sum;
}

bool PrefixTree::is_consistent(const Order& order, int64_t size) const {
  int64_t listed = 0;
  for (int32_t at = order.oldest; at != kNone; at = node(at).newer, ++listed) {
    const Node& one = node(at);
    if (listed > size || one.page.has_value() != (&order == &on_device_)) return false;
    if (one.page.has_value() == one.host.has_value() || table_[slot_of(at)] != at) return false;
  }
  return listed == size;
}

bool PrefixTree::is_consistent() const {
  if (!is_consistent(on_device_, size_) || !is_consistent(on_host_, host_size_)) return false;
  std::vector<int32_t> children(nodes_.size(), 0), device_children(nodes_.size(), 0);
  int64_t known = 0;
  for (const Node& one : nodes_) {
    if (!one.page && !one.host) continue;
    ++known;
    if (one.parent == kNone) continue;
    const Node& parent = node(one.parent);
    if (!parent.page && (one.page || !parent.host)) return false;
    if (parent.salt != one.salt) return false;
    ++children[static_cast<size_t>(one.parent)];
    if (one.page) ++device_children[static_cast<size_t>(one.parent)];
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].page && !nodes_[i].host) continue;
    if (nodes_[i].children != children[i]) return false;
    if (nodes_[i].device_children != device_children[i]) return false;
  }
  return known == size_ + host_size_ &&
         known + static_cast<int64_t>(free_nodes_.size()) == static_cast<int64_t>(nodes_.size());
}

}  // namespace hachi::engine
