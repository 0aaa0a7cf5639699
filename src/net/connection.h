// One client's connection from its first byte to its last: reads requests, runs the handler, and
// watches for the client's leaving meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/body_decoder.h"
#include "net/exchange.h"
#include "net/head_parser.h"
#include "net/http_server.h"
#include "net/stream.h"

namespace hachi::net {

// What all connections of a server share; read only.
struct ConnectionSettings {
  ServerOptions options;
  Handler handler;
  HeadCheck head_check;
};

// All of it on the stream's thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Stream> stream, std::shared_ptr<const ConnectionSettings> settings,
             std::string peer);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The whole life, from the TLS handshake to the close.
  awaitable<void> run();

  // The same for a connection that is one too many: a 503 and the close.
  awaitable<void> turn_away();

  // Closes now if there is no exchange at hand, else after it.
  void drain();

  // Ends it now; an exchange at hand sees its client gone.
  void cut();

 private:
  friend class Exchange;
  enum class Next { kKeepAlive, kLinger, kClose };

  awaitable<void> serve();
  awaitable<Next> serve_one();
  awaitable<bool> read_head(Refusal& refusal);
  awaitable<bool> read_body(const RequestHead& head, uint64_t limit, std::string& body,
                            Refusal& refusal);
  awaitable<Next> run_handler(RequestHead head);
  awaitable<bool> read_more();
  awaitable<Next> refuse(HttpResponse response);
  awaitable<void> linger();

  void start_watch();
  void on_readable();

  // Writes `parts`, at once or, by the second, with a deadline; a client that fails it is gone. The
  // first is true if all went, and else leaves the rest in `parts`.
  bool write_now(std::span<iovec>& parts);
  awaitable<bool> write_rest(std::span<iovec> parts);
  awaitable<bool> write(std::span<iovec> parts);

  // For the exchange.
  bool draining() const { return draining_; }
  boost::asio::any_io_executor executor() { return stream_->executor(); }

  std::shared_ptr<Stream> stream_;
  std::shared_ptr<const ConnectionSettings> settings_;
  std::string peer_;
  std::string in_;                // bytes that came and are not read yet
  HeadScanner scanner_;           // of the head at the front of in_
  Exchange* exchange_ = nullptr;  // while the handler runs
  bool draining_ = false;
  bool idle_ = true;  // between requests, or done with them
};

}  // namespace hachi::net
