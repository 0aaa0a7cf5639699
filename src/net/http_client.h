// An HTTP/1.1 client: one origin, one connection that is kept, one request at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/result.h"
#include "net/http_message.h"
#include "net/url.h"

namespace hachi::net {

using boost::asio::awaitable;

struct ClientOptions {
  std::chrono::milliseconds connect_timeout{10'000};  // name, connection and TLS together
  std::chrono::milliseconds idle_timeout{300'000};    // to send a request; then without any byte
  std::chrono::milliseconds total_timeout{0};         // for a request and all its answer; 0: none
  uint64_t max_header_bytes = 64 << 10;
  uint64_t max_body_bytes = 64 << 20;  // of an answer, whole or in pieces
  std::string ca_file;                 // PEM certificates to trust beside the system's
  bool verify = true;                  // the server's certificate and its name
};

// Host, Content-Length and Connection are added.
struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query as they are sent
  Headers headers;
  std::string body;
};

// Used on the thread of its executor, whose context one thread runs, and one call at a time (but
// close()). Destroying it closes the connection; calls that wait then end with kCancelled. While an
// answer is not read to its end, a timer keeps the context at work.
//
// Errors: kIo when the server cannot be reached, breaks off or is too slow, kCorrupt for what is
// not HTTP, kLimit for an answer past a limit, kCancelled after close(). After an error the next
// call connects anew. A request is never sent twice.
class HttpClient {
 public:
  // Connects with the first request. Only the scheme, host and port of `origin` count. Fails if
  // `options` name certificates that cannot be read.
  static Result<HttpClient> create(const boost::asio::any_io_executor& executor, Url origin,
                                   ClientOptions options = {});

  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();

  // A request and its whole answer. Any status is an answer, not an error.
  awaitable<Result<HttpResponse>> send(ClientRequest request);

  // A request and the head of its answer (the body is empty); the body is for read(). An answer
  // that is not read to its end costs the connection.
  awaitable<Result<HttpResponse>> begin(ClientRequest request);

  // The next bytes of the body as they come; empty at its end. A body that breaks off is an error.
  awaitable<Result<std::string>> read();

  // Ends the connection and whatever waits on it.
  void close();

  // Connections made so far: requests that found theirs kept make no new one.
  int64_t num_connects() const;

 private:
  class Session;
  explicit HttpClient(std::shared_ptr<Session> session);
  std::shared_ptr<Session> session_;
};

}  // namespace hachi::net
