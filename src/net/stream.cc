#include "net/stream.h"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hachi::net {
namespace {

using boost::asio::redirect_error;
using boost::asio::use_awaitable;
using boost::system::error_code;

constexpr size_t kMaxParts = 8;

}  // namespace

void drop_front(std::span<iovec>& parts, size_t bytes) {
  while (!parts.empty() && bytes >= parts.front().iov_len) {
    bytes -= parts.front().iov_len;
    parts = parts.subspan(1);
  }
  if (bytes == 0) return;
  parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + bytes;
  parts.front().iov_len -= bytes;
}

Stream::Stream(Socket socket, TlsSession tls)
    : socket_(std::move(socket)), tls_(std::move(tls)), timer_(socket_.get_executor()) {
  if (tls_) tls_.attach(socket_.native_handle());
}

std::shared_ptr<Stream> Stream::create(Socket socket, TlsSession tls) {
  return std::shared_ptr<Stream>(new Stream(std::move(socket), std::move(tls)));
}

awaitable<bool> Stream::handshake() {
  if (!tls_) co_return true;
  while (is_open()) {
    const Io state = tls_.handshake();
    if (state == Io::kDone) co_return true;
    if (state != Io::kWantRead && state != Io::kWantWrite) co_return false;
    const bool ready = co_await wait(state);
    if (!ready) co_return false;
  }
  co_return false;
}

IoStep Stream::read_some(std::span<char> into) {
  if (!is_open()) return {Io::kError};
  if (tls_) return tls_.read(into);
  for (;;) {
    const ssize_t count = ::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
    if (count > 0) return {Io::kDone, static_cast<size_t>(count)};
    if (count == 0) return {Io::kEnd};
    if (errno == EINTR) continue;
    return {errno == EAGAIN || errno == EWOULDBLOCK ? Io::kWantRead : Io::kError};
  }
}

IoStep Stream::write_some(std::span<const iovec> parts) {
  if (!is_open()) return {Io::kError};
  return tls_ ? tls_.write(parts) : plain_write(parts);
}

IoStep Stream::plain_write(std::span<const iovec> parts) {
  msghdr message = {};
  message.msg_iov = const_cast<iovec*>(parts.data());  // sendmsg reads it
  message.msg_iovlen = std::min(parts.size(), kMaxParts);
  for (;;) {
    const ssize_t count = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) return {Io::kDone, static_cast<size_t>(count)};
    if (count < 0 && errno == EINTR) continue;
    const bool full = count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    return {full ? Io::kWantWrite : Io::kError};
  }
}

awaitable<bool> Stream::wait(Io want) {
  if (!is_open() || timed_out_) co_return false;
  const auto self = shared_from_this();
  error_code error;
  const auto direction = want == Io::kWantRead ? Socket::wait_read : Socket::wait_write;
  co_await socket_.async_wait(direction, redirect_error(use_awaitable, error));
  co_return !error && !timed_out_ && is_open();
}

awaitable<bool> Stream::write_all(std::span<iovec> parts) {
  drop_front(parts, 0);
  while (!parts.empty()) {
    const IoStep step = write_some(parts);
    if (step.state == Io::kDone) {
      drop_front(parts, step.bytes);
    } else if (step.state == Io::kWantRead || step.state == Io::kWantWrite) {
      const bool ready = co_await wait(step.state);
      if (!ready) co_return false;
    } else {
      co_return false;
    }
  }
  co_return true;
}

void Stream::watch(std::function<void()> readable) {
  if (!is_open()) return;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this(), id = watch_id_,
                                         readable = std::move(readable)](error_code error) {
    if (!error && id == self->watch_id_) readable();
  });
}

void Stream::set_deadline(Time deadline) {
  timed_out_ = false;
  deadline_ = deadline;
  if (deadline < armed_) arm(deadline);
}

void Stream::clear_deadline() { deadline_ = Time::max(); }

void Stream::stop_timer() {
  clear_deadline();
  armed_ = Time::max();
  timer_.cancel();
}

void Stream::arm(Time expiry) {
  armed_ = expiry;
  timer_.expires_at(expiry);
  timer_.async_wait([weak = weak_from_this()](error_code error) {
    if (error) return;
    if (const auto self = weak.lock()) self->on_timer();
  });
}

void Stream::on_timer() {
  armed_ = Time::max();
  if (std::chrono::steady_clock::now() >= deadline_) {
    timed_out_ = true;
    cancel();
  } else if (deadline_ != Time::max()) {
    arm(deadline_);
  }
}

void Stream::cancel() {
  ++watch_id_;
  error_code ignored;
  if (is_open()) socket_.cancel(ignored);
}

void Stream::shutdown_send() {
  if (!is_open()) return;
  if (tls_) tls_.close_notify();
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Stream::close() {
  ++watch_id_;
  stop_timer();
  error_code ignored;
  if (!is_open()) return;
  if (tls_) tls_.close_notify();
  socket_.close(ignored);
}

}  // namespace hachi::net
