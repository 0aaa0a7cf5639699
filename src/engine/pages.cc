#include "engine/pages.h"

#include <utility>

#include "core/check.h"

namespace hachi::engine {

PageRef& PageRef::operator=(PageRef&& other) noexcept {
  if (this != &other) {
    give_back();
    pool_ = std::exchange(other.pool_, nullptr);
    page_ = other.page_;
  }
  return *this;
}

PageRef PageRef::share() const {
  if (++pool_->owners_[static_cast<size_t>(page_)] == 2) ++pool_->num_shared_;
  return PageRef(pool_, page_);
}

void PageRef::give_back() {
  if (pool_ == nullptr) return;
  int32_t& owners = pool_->owners_[static_cast<size_t>(page_)];
  CHECK(owners > 0);
  if (--owners == 0) pool_->free_.push_back(page_);
  if (owners == 1) --pool_->num_shared_;
  pool_ = nullptr;
}

PagePool::PagePool(int64_t num_pages) : owners_(static_cast<size_t>(num_pages), 0) {
  free_.reserve(owners_.size());
  for (int64_t page = num_pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
}

std::optional<PageRef> PagePool::take() {
  if (free_.empty()) return std::nullopt;
  const int32_t page = free_.back();
  free_.pop_back();
  owners_[static_cast<size_t>(page)] = 1;
  return PageRef(this, page);
}

PageList::PageList(PagePool& pool, int64_t most) : pool_(&pool) {
  refs_.reserve(static_cast<size_t>(most));
  pages_.reserve(static_cast<size_t>(most));
}

bool PageList::resize(int64_t num_pages) {
  if (num_pages - size() > pool_->num_free()) return false;
  while (size() < num_pages) append(*pool_->take());
  while (size() > num_pages) {
    refs_.pop_back();
    pages_.pop_back();
  }
  return true;
}

void PageList::append(PageRef page) {
  pages_.push_back(page.page());
  refs_.push_back(std::move(page));
}

}  // namespace hachi::engine
