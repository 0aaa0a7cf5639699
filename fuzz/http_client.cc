// The bytes of a server's answers into the client's own connection code. The input is one byte that
// says in which pieces they come and whether the request was a HEAD, and the bytes.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/co_spawn.hpp>

#include "core/check.h"
#include "net/client_connection.h"
#include "socket_pair.h"

namespace {

using namespace hachi;
using namespace hachi::net;

constexpr uint64_t kBodyLimit = 4096;

// Requests until one fails or the connection is used up.
awaitable<void> request_all(std::shared_ptr<ClientConnection> connection, bool head_only) {
  do {
    std::string head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const auto answer =
        co_await connection->begin(std::move(head), std::string(), head_only, Stream::Time::max());
    if (!answer) {
      CHECK(!answer.error().message.empty());
      co_return;
    }
    CHECK(answer->status >= 200 && answer->status <= 999);
    uint64_t total = 0;
    for (;;) {
      const auto piece = co_await connection->read();
      if (!piece) co_return;
      if (piece->empty()) break;
      total += piece->size();
      CHECK_LE(total, kBodyLimit);
    }
  } while (connection->is_reusable());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  ClientOptions options;
  options.max_header_bytes = 2048;
  options.max_body_bytes = kBodyLimit;
  boost::asio::io_context context{1};
  SocketPair sockets;
  auto connection =
      std::make_shared<ClientConnection>(Stream::create(sockets.take(context)), options, "fuzz");
  bool ended = false;
  boost::asio::co_spawn(context, request_all(connection, data[0] % 8 == 7),
                        [&](const std::exception_ptr& thrown) {
                          CHECK(!thrown);
                          ended = true;
                        });
  context.poll();
  std::string received;
  send_in_pieces(sockets, context, bytes, data[0], received);
  sockets.shutdown_send();
  context.poll();
  CHECK(ended);
  return 0;
}
