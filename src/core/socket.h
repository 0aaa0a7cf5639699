// TCP between processes of one program that trust each other: blocking, and whole runs of bytes.
// What serves strangers is net/.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "core/result.h"

namespace hachi::inline core {

// A connection. Move-only. One thread may send while another receives.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd);  // takes it over
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  // Tries again until somebody listens there or `patience` is over; fails with kIo.
  static Result<Socket> connect(const std::string& host, int port,
                                std::chrono::milliseconds patience);

  // All of the bytes, or kIo: the peer is gone.
  Result<void> send(std::span<const std::byte> bytes);
  Result<void> receive(std::span<std::byte> bytes);
  // What can be sent without a wait; errors are not told.
  void try_send(std::span<const std::byte> bytes);
  // What is there, at most bytes.size(); 0: the peer has closed, or is gone.
  size_t receive_some(std::span<std::byte> bytes);
  // receive() fails after so long without a byte; 0: it waits for ever.
  void limit_waits(std::chrono::milliseconds time);

  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// What accepts connections. Move-only.
class ListenSocket {
 public:
  // On all addresses of this machine, or on that of `host`; port 0: any free one.
  static Result<ListenSocket> open(const std::string& host, int port);
  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&&) = delete;
  ~ListenSocket();

  int port() const;
  // Nothing if nobody came in time.
  Result<std::optional<Socket>> accept(std::chrono::milliseconds patience);

 private:
  explicit ListenSocket(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace hachi::inline core
