// NewsHub: wakes the exchanges of one network thread when the engine has put something into their
// streams. The engine tells it once a step, whatever the number of streams.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "engine/stream.h"

namespace hachi::server {

using boost::asio::awaitable;

class NewsHub {
 public:
  using Streams = std::span<const std::shared_ptr<engine::Stream>>;

  // What one exchange waits with; it may be woken by others too. On the hub's thread.
  class Waiter {
   public:
    explicit Waiter(NewsHub& hub);
    ~Waiter();
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    // Until one of `streams` has news, wake() is called, or the time is over.
    awaitable<void> wait(Streams streams, std::chrono::milliseconds timeout);
    void wake();

   private:
    friend class NewsHub;
    NewsHub& hub_;
    boost::asio::steady_timer timer_;
    Streams streams_;  // empty while it does not wait
    size_t place_;     // in hub_.waiters_
  };

  // The context outlives it, and no thread runs the context when it goes.
  explicit NewsHub(boost::asio::io_context& context) : context_(&context) {}

  // Any thread.
  void notify();

 private:
  void look();

  boost::asio::io_context* context_;
  std::atomic<bool> is_posted_{false};
  std::vector<Waiter*> waiters_;
};

}  // namespace hachi::server
