// A connection without a network: one end for the code under test, one for the fuzzer's bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>

#include "core/check.h"
#include "net/stream.h"

namespace hachi {

class SocketPair {
 public:
  SocketPair() { CHECK_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0); }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  ~SocketPair() { ::close(fds_[1]); }

  // The end for the code under test; once.
  net::Stream::Socket take(boost::asio::io_context& context) {
    return {context, boost::asio::generic::stream_protocol(AF_UNIX, 0), fds_[0]};
  }

  // False: the other end has closed, or takes no more.
  bool send(std::string_view bytes) {
    return ::send(fds_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  // What the code under test has sent.
  void receive_into(std::string& received) {
    char buffer[16384];
    ssize_t count = 0;
    while ((count = ::recv(fds_[1], buffer, sizeof buffer, 0)) > 0) {
      received.append(buffer, static_cast<size_t>(count));
    }
  }

  void shutdown_send() { ::shutdown(fds_[1], SHUT_WR); }

 private:
  int fds_[2] = {-1, -1};
};

// Sends `bytes` in pieces, whose sizes follow from `seed`, with the context's work after each.
inline void send_in_pieces(SocketPair& sockets, boost::asio::io_context& context,
                           std::string_view bytes, uint32_t seed, std::string& received) {
  while (!bytes.empty()) {
    seed = seed * 1664525 + 1013904223;
    const size_t piece = std::min<size_t>(bytes.size(), 1 + (seed >> 24) % (1 + (seed >> 28) * 64));
    if (!sockets.send(bytes.substr(0, piece))) break;
    bytes.remove_prefix(piece);
    context.poll();
    sockets.receive_into(received);
  }
}

}  // namespace hachi
