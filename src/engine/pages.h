// Which page of the KV cache belongs to whom. A page is free or owned exactly once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace hachi::engine {

class PagePool {
 public:
  explicit PagePool(int64_t num_pages);

  std::optional<int32_t> take();  // nothing when none is free
  void give_back(int32_t page);

  int64_t num_pages() const { return static_cast<int64_t>(owned_.size()); }
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }

 private:
  std::vector<int32_t> free_;  // the last is taken first
  std::vector<bool> owned_;
};

// The pages of one sequence, in the order of its positions; gives them back when it goes. The pool
// outlives it.
class PageList {
 public:
  explicit PageList(PagePool& pool) : pool_(&pool) {}
  PageList(PageList&& other) noexcept : pool_(other.pool_), pages_(std::move(other.pages_)) {
    other.pages_.clear();
  }
  PageList& operator=(PageList&&) = delete;
  ~PageList() { resize(0); }

  // False, and nothing changed, if the pool has not enough.
  bool resize(int64_t num_pages);

  std::span<const int32_t> pages() const { return pages_; }

 private:
  PagePool* pool_;
  std::vector<int32_t> pages_;
};

}  // namespace hachi::engine
