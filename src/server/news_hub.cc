#include "server/news_hub.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hachi::server {
namespace {

bool any_news(NewsHub::Streams streams) {
  return std::any_of(streams.begin(), streams.end(),
                     [](const auto& stream) { return stream->has_news(); });
}

}  // namespace

NewsHub::Waiter::Waiter(NewsHub& hub)
    : hub_(hub), timer_(*hub.context_), place_(hub.waiters_.size()) {
  hub.waiters_.push_back(this);
}

NewsHub::Waiter::~Waiter() {
  hub_.waiters_.back()->place_ = place_;
  hub_.waiters_[place_] = hub_.waiters_.back();
  hub_.waiters_.pop_back();
}

awaitable<void> NewsHub::Waiter::wait(Streams streams, std::chrono::milliseconds timeout) {
  if (any_news(streams)) co_return;
  streams_ = streams;
  timer_.expires_after(timeout);
  co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  streams_ = {};
}

void NewsHub::Waiter::wake() { timer_.cancel(); }

void NewsHub::notify() {
  if (is_posted_.exchange(true)) return;
  boost::asio::post(*context_, [this] { look(); });
}

void NewsHub::look() {
  // Before looking: what comes from now on is told anew.
  is_posted_ = false;
  for (Waiter* waiter : waiters_) {
    if (any_news(waiter->streams_)) waiter->wake();
  }
}

}  // namespace hachi::server
