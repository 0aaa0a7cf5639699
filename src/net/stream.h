// A connected socket, plain or under TLS, that is read and written without blocking.
//
// Each read and write is tried at once, and only one that the socket refuses waits, for readiness,
// with no buffer of its own: an idle connection costs no buffer, and a write that fits into the
// socket costs one system call.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <sys/uio.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/tls.h"

namespace hachi::net {

using boost::asio::awaitable;

enum class Io {
  kDone,
  kWantRead,   // try again when the socket can be read
  kWantWrite,  // try again when it can be written
  kEnd,        // the peer sends no more
  kError,      // the connection is broken, or was closed here
};

struct IoStep {
  Io state;
  size_t bytes = 0;  // moved, with kDone at least one
};

// Takes `bytes` off the front of `parts`.
void drop_front(std::span<iovec>& parts, size_t bytes);

// Used on one thread, that of its executor. Held by shared_ptr: waits and the timer outlive calls.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Time = std::chrono::steady_clock::time_point;

  // `tls` takes part in the socket's bytes; nothing: plain.
  static std::shared_ptr<Stream> create(Socket socket, TlsSession tls = {});

  boost::asio::any_io_executor executor() { return socket_.get_executor(); }

  // TLS's handshake; true at once on a plain stream. False: the peer failed, left, or took longer
  // than the deadline; tls_error() may say why.
  awaitable<bool> handshake();
  std::string tls_error() const { return tls_ ? tls_.error() : std::string(); }

  IoStep read_some(std::span<char> into);
  IoStep write_some(std::span<const iovec> parts);

  // Until the socket is ready for what `want` asks. False: the deadline passed, or cancel() or
  // close() was called.
  awaitable<bool> wait(Io want);

  // Writes all of `parts`, which it counts down. False: broken, closed or late.
  awaitable<bool> write_all(std::span<iovec> parts);

  // Calls back once when there is something to read (or the end); not after cancel() or close().
  void watch(std::function<void()> readable);

  // Waits end with false from then on, until the next one is set.
  void set_deadline(Time deadline);
  void clear_deadline();
  // The same, with no timer left: a context that has nothing else to do may end.
  void stop_timer();
  bool timed_out() const { return timed_out_; }

  // Ends the waits of this moment.
  void cancel();

  // Tells the peer that nothing more comes.
  void shutdown_send();

  // Ends the waits and the connection; bytes that were written still go out.
  void close();
  bool is_open() const { return socket_.is_open(); }

 private:
  Stream(Socket socket, TlsSession tls);
  IoStep plain_write(std::span<const iovec> parts);
  void arm(Time expiry);
  void on_timer();

  Socket socket_;
  TlsSession tls_;
  boost::asio::steady_timer timer_;
  Time deadline_ = Time::max();
  // When the timer goes off. It is left running when the deadline moves back, as it does with each
  // request of a busy connection, and looks at the deadline when it goes off.
  Time armed_ = Time::max();
  uint64_t watch_id_ = 0;
  bool timed_out_ = false;
};

}  // namespace hachi::net
