// The query of GET /v1/files and GET /v1/batches: which page of the list is wanted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/error.h"

namespace hachi::api {

struct ListQuery {
  int64_t limit = 20;      // objects of the page, at least 1
  std::string after;       // the id after which the page begins; empty: at the first
  bool ascending = false;  // order=asc: the oldest first
  std::string purpose;     // of files; empty: all
};

// `query` is what follows the "?" of the target, as it was sent; `limit` is used where it names
// none and is at most `max_limit`.
ApiResult<ListQuery> parse_list_query(std::string_view query, int64_t limit, int64_t max_limit);

}  // namespace hachi::api
