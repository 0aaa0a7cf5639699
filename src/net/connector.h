// Connections to servers: names, addresses, TLS.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "core/result.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/url.h"

namespace hachi::net {

// One connection at a time. A name is looked up on a thread of Asio's, which cannot be called off:
// its context does not end before the system's resolver gives up. Addresses need no such thread.
class Connector : public std::enable_shared_from_this<Connector> {
 public:
  Connector(const boost::asio::any_io_executor& executor, std::optional<TlsContext> tls);

  // Tries each address of the host in turn, then TLS if `origin` has it.
  awaitable<Result<std::shared_ptr<Stream>>> connect(Url origin, Stream::Time deadline);

  // Ends connect() with an error.
  void cancel();

 private:
  using Endpoints = boost::asio::ip::tcp::resolver::results_type;

  awaitable<Result<Endpoints>> resolve(const Url& origin);
  awaitable<Result<std::shared_ptr<Stream>>> connect_socket(const Url& origin,
                                                            Stream::Time deadline);
  void start_timer(Stream::Time deadline);

  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  std::optional<TlsContext> tls_;
  std::shared_ptr<Stream> stream_;  // while TLS shakes hands
  bool late_ = false;
  bool cancelled_ = false;
};

}  // namespace hachi::net
