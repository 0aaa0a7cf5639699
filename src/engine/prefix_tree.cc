#include "engine/prefix_tree.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/check.h"
#include "engine/prefix_hash.h"

namespace hachi::engine {

PrefixTree::PrefixTree(PagePool& pool, int64_t page_tokens)
    : pool_(&pool),
      page_tokens_(page_tokens),
      nodes_(static_cast<size_t>(pool.num_pages())),
      tokens_(static_cast<size_t>(pool.num_pages() * page_tokens)),
      table_(std::bit_ceil(static_cast<size_t>(2 * pool.num_pages() + 2)), kNone),
      sent_(4 * table_.size()) {}

std::span<const int32_t> PrefixTree::tokens_of(int32_t page) const {
  const auto count = static_cast<size_t>(page_tokens_);
  return {tokens_.data() + static_cast<size_t>(page) * count, count};
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

size_t PrefixTree::slot_of(int32_t page) const {
  const Node& one = node(page);
  return find_slot(one.salt, one.text, one.parent, tokens_of(page));
}

// Moves what stands behind the slot forward, so that no search ends too early.
void PrefixTree::clear_slot(size_t slot) {
  const size_t mask = table_.size() - 1;
  size_t hole = slot;
  for (size_t next = (hole + 1) & mask; table_[next] != kNone; next = (next + 1) & mask) {
    const int32_t page = table_[next];
    const size_t wanted = spread(mix(node(page).text, node(page).salt)) & mask;
    if (((next - wanted) & mask) >= ((next - hole) & mask)) {
      table_[hole] = page;
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
    const int32_t page = table_[find_slot(salt, text, last, its)];
    if (page == kNone) break;
    visit(page);
    last = page;
  }
  return last;
}

int64_t PrefixTree::match(uint64_t salt, std::span<const int32_t> tokens, PageList& pages) {
  CHECK(pages.size() == 0);
  touch_path(walk(salt, tokens, [&](int32_t page) { pages.append(node(page).page->share()); }));
  return pages.size();
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
    int32_t page = table_[find_slot(salt, text, parent, its)];
    if (page == kNone) {
      page = pages.pages()[static_cast<size_t>(i)];
      add(salt, text, parent, its, pages.share(i));
    }
    parent = page;
  }
  touch_path(parent);
}

void PrefixTree::add(uint64_t salt, uint64_t text, int32_t parent, std::span<const int32_t> tokens,
                     PageRef page) {
  const int32_t number = page.page();
  CHECK(!node(number).page);
  node(number) = Node{std::move(page), salt, text, parent, 0, kNone, kNone};
  std::copy(tokens.begin(), tokens.end(),
            tokens_.begin() + static_cast<int64_t>(number) * page_tokens_);
  table_[slot_of(number)] = number;
  sent_[text & (sent_.size() - 1)] = {text, salt};
  if (parent != kNone) ++node(parent).children;
  link_newest(number);
  ++size_;
}

void PrefixTree::forget(int32_t page) {
  clear_slot(slot_of(page));
  if (node(page).parent != kNone) --node(node(page).parent).children;
  unlink(page);
  node(page).page.reset();
  --size_;
}

bool PrefixTree::make_room(int64_t num_free) {
  for (int32_t page = oldest_; page != kNone && pool_->num_free() < num_free;) {
    const int32_t newer = node(page).newer;
    if (node(page).children == 0 && pool_->owners(page) == 1) {
      forget(page);
      ++evictions_;
    }
    page = newer;
  }
  return pool_->num_free() >= num_free;
}

void PrefixTree::touch_path(int32_t page) {
  for (; page != kNone; page = node(page).parent) {
    unlink(page);
    link_newest(page);
  }
}

void PrefixTree::unlink(int32_t page) {
  const Node& gone = node(page);
  (gone.older == kNone ? oldest_ : node(gone.older).newer) = gone.newer;
  (gone.newer == kNone ? newest_ : node(gone.newer).older) = gone.older;
}

void PrefixTree::link_newest(int32_t page) {
  node(page).older = newest_;
  node(page).newer = kNone;
  (newest_ == kNone ? oldest_ : node(newest_).newer) = page;
  newest_ = page;
}

bool PrefixTree::is_consistent() const {
  int64_t listed = 0;
  for (int32_t page = oldest_; page != kNone; page = node(page).newer, ++listed) {
    if (!node(page).page || listed > size_) return false;
    if (table_[slot_of(page)] != page) return false;
  }
  std::vector<int32_t> children(nodes_.size(), 0);
  int64_t known = 0;
  for (const Node& one : nodes_) {
    if (!one.page) continue;
    ++known;
    if (one.parent == kNone) continue;
    if (!node(one.parent).page || node(one.parent).salt != one.salt) return false;
    ++children[static_cast<size_t>(one.parent)];
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].page && nodes_[i].children != children[i]) return false;
  }
  return known == size_ && listed == size_;
}

}  // namespace hachi::engine
