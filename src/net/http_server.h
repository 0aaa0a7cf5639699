// An HTTP/1.1 server: keep-alive, pipelining, chunked requests, streams, TLS, limits and timeouts.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "core/result.h"
#include "net/exchange.h"

namespace hachi::net {

struct ServerOptions {
  std::string host = "127.0.0.1";  // an address or a name to listen on
  uint16_t port = 0;               // 0: any free one, see HttpServer::port()
  int threads = 1;
  int64_t max_connections = 16384;  // one more is answered with 503
  uint64_t max_header_bytes = 32 << 10;

  std::chrono::milliseconds header_timeout{10'000};  // for a head, from its first byte
  std::chrono::milliseconds idle_timeout{75'000};    // from one request to the next, or the first
  std::chrono::milliseconds body_timeout{10'000};    // and the time at min_bytes_per_second
  std::chrono::milliseconds write_timeout{30'000};   // the same for each send and write
  uint64_t min_bytes_per_second = 4096;              // a floor under slow clients, at least 1

  // PEM files; both or none. TLS 1.2 and above.
  std::string tls_certificate;
  std::string tls_key;
};

// `threads` io_contexts, each run by one thread; a connection lives on one of them from its first
// byte to its last, so that what happens in it needs no lock.
class HttpServer {
 public:
  // Listens and runs when it returns. Fails with one sentence if the address is not one of this
  // machine, the port is taken or a TLS file is not what it should be. Both functions are called on
  // all threads at once.
  static Result<std::unique_ptr<HttpServer>> start(ServerOptions options, Handler handler,
                                                   HeadCheck head_check);

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // drain() without grace.
  ~HttpServer();

  uint16_t port() const;
  int num_threads() const;

  // Thread i runs context i alone.
  boost::asio::io_context& context(int thread);

  // Open connections, idle ones among them. From any thread.
  int64_t num_connections() const;

  // Accepts no more, closes idle connections, lets running exchanges finish for at most `grace`,
  // then cuts their connections (client_gone() is true, callbacks are called) and gives handlers
  // two seconds more to return; a coroutine that still waits then is destroyed with the server.
  // Returns when all threads have ended. From any thread but the server's own; a second call only
  // waits for the first.
  void drain(std::chrono::milliseconds grace);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hachi::net
