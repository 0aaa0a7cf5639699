// NewsHub: wakes the exchanges of one network thread when the engine has put something into their
// streams. The engine tells it once a step, whatever the number of streams.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/result.h"
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

  // Fails if the system has no more descriptors.
  static Result<std::unique_ptr<NewsHub>> create(boost::asio::io_context& context);
  ~NewsHub();
  NewsHub(const NewsHub&) = delete;
  NewsHub& operator=(const NewsHub&) = delete;

  // Any thread; neither locks nor allocates, as the engine's loop must not.
  void notify();

  // Nobody is woken any more. On the hub's thread, or once no thread runs the context; before it
  // goes.
  void close() { news_.reset(); }

 private:
  NewsHub(boost::asio::io_context& context, int event);

  void listen();
  void look();

  boost::asio::io_context* context_;
  int event_;  // an eventfd, raised while there is news
  std::atomic<bool> is_raised_{false};
  std::optional<boost::asio::posix::stream_descriptor> news_;  // of event_
  std::vector<Waiter*> waiters_;
};

}  // namespace hachi::server
