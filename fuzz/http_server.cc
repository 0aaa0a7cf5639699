// The bytes of a client's connection into the server's own connection code. The input is one byte
// that says in which pieces they come, and the bytes. What comes back must be answers, no
// connection may outlive its client, and each handler must end once.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/check.h"
#include "net/connection.h"
#include "socket_pair.h"

namespace {

using namespace hachi;
using namespace hachi::net;

constexpr uint64_t kBodyLimit = 4096;

int num_begun = 0;
int num_ended = 0;

awaitable<void> handle(Exchange& exchange) {
  ++num_begun;
  const HttpRequest& request = exchange.request();
  CHECK(request.body.size() <= kBodyLimit);
  CHECK(request.path == "*" || request.path.starts_with('/'));
  CHECK(request.path.find('\0') == request.path.npos);
  exchange.on_client_gone([] {});
  if (request.path.size() % 2 == 0) {
    co_await boost::asio::post(exchange.executor(), boost::asio::use_awaitable);
    Headers headers;
    headers.add("X-Path", request.path);
    bool alive = co_await exchange.begin_stream(200, std::move(headers));
    for (int i = 0; alive && i < 3; ++i) alive = co_await exchange.write(request.body);
    if (alive) co_await exchange.end_stream();
  } else {
    HttpResponse response;
    for (const Header& field : request.headers) response.headers.add(field.name, field.value);
    response.body = exchange.take_body();
    co_await exchange.send(std::move(response));
  }
  ++num_ended;
}

std::variant<uint64_t, HttpResponse> check_head(const HttpRequest& head) {
  if (head.path == "/no") return error_response(404, head.path);
  return kBodyLimit;
}

const std::shared_ptr<const ConnectionSettings>& settings() {
  static const auto made = [] {
    ServerOptions options;
    options.max_header_bytes = 2048;
    return std::make_shared<const ConnectionSettings>(
        ConnectionSettings{options, handle, check_head});
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  num_begun = num_ended = 0;
  std::string received;
  bool ended = false;
  {
    boost::asio::io_context context{1};
    SocketPair sockets;
    auto connection = std::make_shared<Connection>(Stream::create(sockets.take(context)),
                                                   settings(), "127.0.0.1");
    boost::asio::co_spawn(context, connection->run(),
                          [&](const std::exception_ptr&) { ended = true; });
    context.poll();
    send_in_pieces(sockets, context, bytes, data[0], received);
    sockets.shutdown_send();
    context.poll();
    sockets.receive_into(received);
    context.poll();
    CHECK(ended);
  }
  CHECK_EQ(num_begun, num_ended);
  CHECK(received.empty() || received.starts_with("HTTP/1.1 "));
  return 0;
}
