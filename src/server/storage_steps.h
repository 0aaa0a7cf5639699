// The steps that the routes of files and batches share.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "api/error.h"
#include "server/off_thread.h"
#include "server/storage.h"
#include "server/visit.h"

namespace hachi::server {

// The owner of what the visitor makes, as the stores know owners.
inline std::string owner_of(const Visit& visit) {
  return visit.key() == nullptr ? std::string() : visit.key()->name;
}

inline api::ApiError no_storage() {
  return {501, "this server keeps no files and no batches: it has no data folder", "",
          "no_storage"};
}

// What work(storage) makes, on a thread that may wait for the disk.
template <class T, class Work>
net::awaitable<api::ApiResult<T>> on_disk(Visit& visit, Work& work) {
  Storage* storage = visit.app().storage();
  if (storage == nullptr) co_return tl::unexpected(no_storage());
  std::optional<api::ApiResult<T>> result;
  auto call = [&] { result.emplace(work(*storage)); };
  co_await run_on(visit.app().file_pool(), visit.executor(), call);
  co_return *std::move(result);
}

// Sends the JSON that work(storage) makes.
template <class Work>
net::awaitable<void> send_from_disk(Visit& visit, Work& work) {
  auto body = co_await on_disk<std::string>(visit, work);
  co_await visit.send_result(std::move(body));
}

}  // namespace hachi::server
