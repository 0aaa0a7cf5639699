// The body of a request as what an endpoint takes.
#pragma once

#include <string>
#include <string_view>

#include "api/error.h"
#include "server/off_thread.h"
#include "server/visit.h"

namespace hachi::server {

// A comment of a stream of events, which readers skip and proxies count as life.
inline constexpr std::string_view kStillAlive = ": still at work\n\n";

// Bodies shorter than this are parsed at once: going to another thread costs more.
inline constexpr size_t kShortBody = 8192;

template <class T>
net::awaitable<api::ApiResult<T>> parse_body(Visit& visit,
                                             api::ApiResult<T> (*parse)(std::string_view body)) {
  const std::string& body = visit.exchange().request().body;
  if (body.size() < kShortBody) co_return parse(body);
  std::optional<api::ApiResult<T>> parsed;
  auto work = [&] { parsed.emplace(parse(body)); };
  co_await run_on(visit.app().text_pool(), visit.exchange().executor(), work);
  co_return *std::move(parsed);
}

}  // namespace hachi::server
