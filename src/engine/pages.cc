#include "engine/pages.h"

#include "core/check.h"

namespace hachi::engine {

PagePool::PagePool(int64_t num_pages) : owned_(static_cast<size_t>(num_pages), false) {
  for (int64_t page = num_pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
}

std::optional<int32_t> PagePool::take() {
  if (free_.empty()) return std::nullopt;
  const int32_t page = free_.back();
  free_.pop_back();
  owned_[static_cast<size_t>(page)] = true;
  return page;
}

void PagePool::give_back(int32_t page) {
  CHECK(owned_[static_cast<size_t>(page)]);
  owned_[static_cast<size_t>(page)] = false;
  free_.push_back(page);
}

bool PageList::resize(int64_t num_pages) {
  const auto wanted = static_cast<size_t>(num_pages);
  if (wanted > pages_.size() && static_cast<int64_t>(wanted - pages_.size()) > pool_->num_free()) {
    return false;
  }
  while (pages_.size() < wanted) pages_.push_back(*pool_->take());
  while (pages_.size() > wanted) {
    pool_->give_back(pages_.back());
    pages_.pop_back();
  }
  return true;
}

}  // namespace hachi::engine
