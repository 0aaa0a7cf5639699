// A client that sends the bytes it is told to, whole or in pieces, and takes what comes: for what a
// well-behaved client never does.
#pragma once

#include <algorithm>
#include <chrono>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace hachi::net {

class RawClient {
 public:
  explicit RawClient(uint16_t port, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (receive_buffer > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { close(); }

  bool connected() const { return connected_; }

  // False: the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

  // Reads until `text` is among what came (true), or until the end or ten seconds.
  bool read_until(std::string_view text) {
    while (received_.find(text) == std::string::npos) {
      if (!read_piece()) return false;
    }
    return true;
  }

  // Everything up to the end of the connection; ended() says if it came within ten seconds.
  const std::string& read_all() {
    while (read_piece()) {
    }
    return received_;
  }

  // Takes what comes within `time`. False: nothing did, or the end.
  bool read_within(std::chrono::milliseconds time) {
    pollfd ready = {fd_, POLLIN, 0};
    if (ended_ || ::poll(&ready, 1, static_cast<int>(time.count())) <= 0) return false;
    char buffer[16384];
    const ssize_t count = ::recv(fd_, buffer, sizeof buffer, 0);
    ended_ = count <= 0;
    if (count > 0) received_.append(buffer, static_cast<size_t>(count));
    return count > 0;
  }

  // Takes at most `count` bytes of what has come.
  void read_bytes(size_t count) {
    char buffer[256];
    const ssize_t taken = ::recv(fd_, buffer, std::min(count, sizeof buffer), MSG_DONTWAIT);
    ended_ = ended_ || taken == 0;
    if (taken > 0) received_.append(buffer, static_cast<size_t>(taken));
  }

  const std::string& received() const { return received_; }
  void forget() { received_.clear(); }
  bool ended() const { return ended_; }

  void shutdown_send() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  // A close that sends a reset.
  void reset() {
    const linger hard = {1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }

 private:
  bool read_piece() { return read_within(std::chrono::seconds(10)); }

  int fd_ = -1;
  bool connected_ = false;
  bool ended_ = false;
  std::string received_;
};

}  // namespace hachi::net
