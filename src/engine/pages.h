// Which page of the KV cache belongs to whom. A page is free, or has owners: the sequences that
// read it and the prefix tree that remembers it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace hachi::engine {

class PagePool;

// One share of a page, given back when it goes. The pool outlives it.
class PageRef {
 public:
  PageRef(PageRef&& other) noexcept : pool_(other.pool_), page_(other.page_) {
    other.pool_ = nullptr;
  }
  PageRef& operator=(PageRef&& other) noexcept;
  PageRef(const PageRef&) = delete;
  PageRef& operator=(const PageRef&) = delete;
  ~PageRef() { give_back(); }

  int32_t page() const { return page_; }
  // Another share of the same page.
  PageRef share() const;

 private:
  friend class PagePool;
  PageRef(PagePool* pool, int32_t page) : pool_(pool), page_(page) {}
  void give_back();

  PagePool* pool_;  // null: moved away
  int32_t page_;
};

class PagePool {
 public:
  explicit PagePool(int64_t num_pages);

  std::optional<PageRef> take();  // nothing when none is free

  int64_t num_pages() const { return static_cast<int64_t>(owners_.size()); }
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  // Pages with more than one owner.
  int64_t num_shared() const { return num_shared_; }
  int32_t owners(int32_t page) const { return owners_[static_cast<size_t>(page)]; }

 private:
  friend class PageRef;

  std::vector<int32_t> free_;    // the last is taken first
  std::vector<int32_t> owners_;  // of each page; 0: free
  int64_t num_shared_ = 0;
};

// The pages of one sequence, in the order of its positions.
class PageList {
 public:
  // Room for `most` pages, so that it never allocates later.
  PageList(PagePool& pool, int64_t most);

  // False, and nothing changed, if the pool has not enough.
  bool resize(int64_t num_pages);
  // The next page is one that others own too: it must not be written.
  void append(PageRef page);

  int64_t size() const { return static_cast<int64_t>(pages_.size()); }
  std::span<const int32_t> pages() const { return pages_; }
  PageRef share(int64_t i) const { return refs_[static_cast<size_t>(i)].share(); }

 private:
  PagePool* pool_;
  std::vector<PageRef> refs_;
  std::vector<int32_t> pages_;  // of refs_, for the kernels
};

}  // namespace hachi::engine
