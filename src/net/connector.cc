#include "net/connector.h"

#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hachi::net {
namespace {

namespace asio = boost::asio;
using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;

}  // namespace

Connector::Connector(const asio::any_io_executor& executor, std::optional<TlsContext> tls)
    : resolver_(executor), socket_(executor), timer_(executor), tls_(std::move(tls)) {}

void Connector::cancel() {
  cancelled_ = true;
  resolver_.cancel();
  error_code ignored;
  socket_.close(ignored);
  if (stream_) stream_->close();
}

void Connector::start_timer(Stream::Time deadline) {
  late_ = false;
  timer_.expires_at(deadline);
  timer_.async_wait([weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (error || !self || self->timer_.expiry() > std::chrono::steady_clock::now()) return;
    self->cancel();
    self->late_ = true;
  });
}

awaitable<Result<Connector::Endpoints>> Connector::resolve(const Url& origin) {
  error_code error;
  const auto address = asio::ip::make_address(origin.host, error);
  if (!error) co_return Endpoints::create(tcp::endpoint(address, origin.port), origin.host, "");
  auto found = co_await resolver_.async_resolve(origin.host, std::to_string(origin.port),
                                                redirect_error(use_awaitable, error));
  if (error) {
    co_return fail(Code::kIo, "{}: no such host: {}", origin.authority(), error.message());
  }
  co_return std::move(found);
}

awaitable<Result<std::shared_ptr<Stream>>> Connector::connect_socket(const Url& origin,
                                                                     Stream::Time deadline) {
  auto endpoints = co_await resolve(origin);
  if (!endpoints) co_return tl::unexpected<Error>(std::move(endpoints).error());
  error_code error = asio::error::host_not_found;
  for (const auto& entry : *endpoints) {
    if (cancelled_) break;
    socket_.close(error);
    co_await socket_.async_connect(entry.endpoint(), redirect_error(use_awaitable, error));
    if (!error) break;
  }
  if (error || cancelled_) {
    co_return fail(Code::kIo, "{}: cannot connect: {}", origin.authority(), error.message());
  }
  socket_.set_option(tcp::no_delay(true), error);
  TlsSession session;
  if (tls_) {
    auto made = tls_->connect(origin.host);
    if (!made) co_return tl::unexpected<Error>(std::move(made).error());
    session = *std::move(made);
  }
  stream_ = Stream::create(std::move(socket_), std::move(session));
  stream_->set_deadline(deadline);
  const bool secured = co_await stream_->handshake();
  const auto stream = std::exchange(stream_, nullptr);
  if (!secured) {
    co_return fail(Code::kIo, "{}: no TLS connection: {}", origin.authority(),
                   stream->tls_error().empty() ? "the server broke off" : stream->tls_error());
  }
  stream->clear_deadline();
  co_return stream;
}

awaitable<Result<std::shared_ptr<Stream>>> Connector::connect(Url origin, Stream::Time deadline) {
  const auto self = shared_from_this();
  cancelled_ = false;
  start_timer(deadline);
  auto stream = co_await connect_socket(origin, deadline);
  timer_.cancel();
  if (late_) {
    co_return fail(Code::kIo, "{}: connecting took too long", origin.authority());
  }
  if (cancelled_) co_return fail(Code::kCancelled, "{}: closed", origin.authority());
  co_return std::move(stream);
}

}  // namespace hachi::net
