// Text work away from the network's threads.
#pragma once

#include <exception>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hachi::server {

// Calls `work` on a thread of `pool`, and comes back to `home`, also with what it throws. `work`
// outlives the call and must not touch what belongs to another thread.
template <class Work>
boost::asio::awaitable<void> run_on(boost::asio::thread_pool& pool,
                                    boost::asio::any_io_executor home, Work& work) {
  co_await boost::asio::post(
      boost::asio::bind_executor(pool.get_executor(), boost::asio::use_awaitable));
  std::exception_ptr thrown;
  try {
    work();
  } catch (...) {
    thrown = std::current_exception();
  }
  co_await boost::asio::post(boost::asio::bind_executor(home, boost::asio::use_awaitable));
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace hachi::server
