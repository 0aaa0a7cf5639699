// One request and its answer, as a handler sees them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "net/http_message.h"

namespace hachi::net {

using boost::asio::awaitable;

class Connection;

// A handler answers once: either send(), or begin_stream(), any number of write(), end_stream().
// A handler that returns without an answer gives the client a 500; one that returns or throws in
// the middle of a stream ends the connection there, which the client sees as a stream cut short.
//
// A client that closes its connection, or only its sending half (as nginx and vLLM have it, for a
// closed program cannot be told from a half-closed one), is gone: each send and write from then on
// is false. It is noticed while the handler waits for something else, too. The exception is a
// client that has sent more than 64 KiB of further requests meanwhile: its going shows at the next
// write.
//
// All of it on the connection's thread; it lives until the handler's coroutine ends. GCC 12
// destroys braced temporaries within a co_await expression twice: build a response in a variable,
// then `co_await exchange.send(std::move(response))`.
class Exchange {
 public:
  Exchange(Connection& connection, HttpRequest request);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange();

  const HttpRequest& request() const { return request_; }

  // The body moved out of the request.
  std::string take_body();

  // Of the connection's thread; anything that touches the exchange runs there.
  boost::asio::any_io_executor executor() const;

  // The whole answer. False: the client has gone, or took nothing for the write timeout.
  awaitable<bool> send(HttpResponse response);

  // The head of a stream, sent at once. HTTP/1.1 gets chunks, HTTP/1.0 bytes until the connection
  // closes.
  awaitable<bool> begin_stream(int status, const Headers& headers);

  // The next bytes of the stream, which must live until it is done; no bytes are no chunk. One
  // system call and no wait if the socket takes them. When it does not, it waits, at most the
  // server's write_timeout and the time that the bytes take at min_bytes_per_second: backpressure,
  // so nothing piles up here. False: the client has gone.
  awaitable<bool> write(std::string_view bytes);

  awaitable<bool> end_stream();

  bool client_gone() const { return gone_; }

  // Called on the connection's thread, once, when the client goes before the handler ends; at once
  // if it has gone. A later one takes the place of an earlier one; {} takes it away. It must not
  // destroy the exchange.
  void on_client_gone(std::function<void()> callback);

 private:
  friend class Connection;
  enum class Phase { kWaiting, kStreaming, kDone };

  awaitable<bool> send_text(std::string head, std::string body);
  void set_gone();

  Connection& connection_;
  HttpRequest request_;
  std::function<void()> on_gone_;
  Phase phase_ = Phase::kWaiting;
  bool http11_ = true;       // else no chunks
  bool head_only_ = false;   // HEAD: the headers of the answer without its body
  bool keep_alive_ = false;  // once the answer is complete
  bool gone_ = false;
};

using Handler = std::function<awaitable<void>(Exchange&)>;

// Called with the head before any byte of the body is read. A response refuses the request, and the
// connection closes after it; a number allows that many bytes of body.
using HeadCheck = std::function<std::variant<uint64_t, HttpResponse>(const HttpRequest& head)>;

}  // namespace hachi::net
