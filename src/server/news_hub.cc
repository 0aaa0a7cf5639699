#include "server/news_hub.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/as_tuple.hpp>
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

Result<std::unique_ptr<NewsHub>> NewsHub::create(boost::asio::io_context& context) {
  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  const int copy = event < 0 ? -1 : ::fcntl(event, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    if (event >= 0) ::close(event);
    return fail(Code::kIo, "the system has no more file descriptors: raise the limit (ulimit -n)");
  }
  std::unique_ptr<NewsHub> hub(new NewsHub(context, event));
  hub->news_.emplace(context, copy);
  hub->listen();
  return hub;
}

NewsHub::NewsHub(boost::asio::io_context& context, int event) : context_(&context), event_(event) {}

NewsHub::~NewsHub() { ::close(event_); }

void NewsHub::notify() {
  if (!is_raised_.exchange(true)) ::eventfd_write(event_, 1);
}

void NewsHub::listen() {
  news_->async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code& error) {
                      if (error) return;
                      eventfd_t count = 0;
                      ::eventfd_read(event_, &count);
                      look();
                      listen();
                    });
}

void NewsHub::look() {
  // Before looking: what comes from now on is told anew.
  is_raised_ = false;
  for (Waiter* waiter : waiters_) {
    if (any_news(waiter->streams_)) waiter->wake();
  }
}

}  // namespace hachi::server
