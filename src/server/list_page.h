// Pages of lists as OpenAI's clients walk through them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "api/list_query.h"

namespace hachi::server {

inline constexpr int64_t kMicroseconds = 1'000'000;  // of a second

template <class T>
struct Page {
  std::vector<T> items;
  bool has_more = false;
};

// What a list is ordered by, the id among those of the same microsecond.
struct Listed {
  int64_t created_us = 0;  // since 1970
  std::string id;
  auto operator<=>(const Listed&) const = default;
};

// The part of `all` that `query` asks for. Fails with 400 if there is no `after` among them.
inline api::ApiResult<Page<Listed>> page_of(std::vector<Listed> all, const api::ListQuery& query) {
  std::sort(all.begin(), all.end());
  if (!query.ascending) std::reverse(all.begin(), all.end());
  auto first = all.begin();
  if (!query.after.empty()) {
    first = std::find_if(all.begin(), all.end(),
                         [&](const Listed& one) { return one.id == query.after; });
    if (first == all.end()) {
      return tl::unexpected(
          api::invalid_field("after", "after must be the id of one in this list"));
    }
    ++first;
  }
  const auto count = std::min<int64_t>(query.limit, all.end() - first);
  return Page<Listed>{{first, first + count}, count < all.end() - first};
}

}  // namespace hachi::server
