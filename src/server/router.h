// Router: which function answers which method and path.
#pragma once

#include <string>
#include <string_view>

#include "server/visit.h"

namespace hachi::server {

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/v1/files/{id}/content": {id} stands for one or more characters
  net::awaitable<void> (*answer)(Visit& visit, std::string id);
  bool needs_key = true;
  ErrorStyle style = ErrorStyle::kOpenAi;
  bool takes_file = false;  // its body may have the size of a file
};

struct RouteMatch {
  const Route* route = nullptr;  // null: there is none
  std::string id;                // what stands for {id}
  std::string allowed;           // methods of this path, if it is the method that is wrong
};

// HEAD is answered as GET.
RouteMatch find_route(std::string_view method, std::string_view path);

}  // namespace hachi::server
