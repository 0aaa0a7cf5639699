#include "core/socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace hachi::inline core {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kBetweenTries{100};
constexpr int kBacklog = 64;

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

// An empty host: all addresses of this machine.
Result<Addresses> look_up(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = host.empty() ? AI_PASSIVE : 0;
  addrinfo* list = nullptr;
  const std::string service = std::to_string(port);
  const int error =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &list);
  if (error != 0) {
    return fail(Code::kIo, "the address of '{}' is not known: {}", host, gai_strerror(error));
  }
  return Addresses(list);
}

// Small messages go at once.
void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// A connection from one of this machine's ports to the same port, where nobody listens, is one
// with itself.
bool is_own_end(int fd) {
  sockaddr_storage own{}, other{};
  socklen_t own_size = sizeof own, other_size = sizeof other;
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
         ::getpeername(fd, reinterpret_cast<sockaddr*>(&other), &other_size) == 0 &&
         own_size == other_size && std::memcmp(&own, &other, own_size) == 0;
}

// The first address that answers; -1 and errno if none does.
int connect_once(const addrinfo* list) {
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    const int fd = ::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
    if (fd < 0) continue;
    const bool connected = ::connect(fd, one->ai_addr, one->ai_addrlen) == 0;
    if (connected && !is_own_end(fd)) return fd;
    const int error = connected ? ECONNREFUSED : errno;
    ::close(fd);
    errno = error;
  }
  return -1;
}

}  // namespace

Socket::Socket(int fd) : fd_(fd) { send_at_once(fd); }
Socket::Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Socket> Socket::connect(const std::string& host, int port, milliseconds patience) {
  const auto give_up = Clock::now() + patience;
  while (true) {
    const auto addresses = look_up(host, port);
    const int fd = addresses ? connect_once(addresses->get()) : -1;
    if (fd >= 0) return Socket(fd);
    const int error = errno;
    if (Clock::now() > give_up) {
      if (!addresses) return tl::unexpected<Error>(addresses.error());
      return fail(Code::kIo, "nobody answers at {}:{}: {}", host, port, std::strerror(error));
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
}

Result<void> Socket::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return fail(Code::kIo, "{}", std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(sent));
  }
  return {};
}

Result<void> Socket::receive(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) return fail(Code::kIo, "its connection is closed");
    if (got < 0) return fail(Code::kIo, "{}", std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(got));
  }
  return {};
}

void Socket::try_send(std::span<const std::byte> bytes) {
  static_cast<void>(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

size_t Socket::receive_some(std::span<std::byte> bytes) {
  ssize_t got = 0;
  do {
    got = ::recv(fd_, bytes.data(), bytes.size(), 0);
  } while (got < 0 && errno == EINTR);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

void Socket::limit_waits(milliseconds time) {
  timeval limit{};
  limit.tv_sec = time.count() / 1000;
  limit.tv_usec = time.count() % 1000 * 1000;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

Result<ListenSocket> ListenSocket::open(const std::string& host, int port) {
  TRY(const Addresses addresses, look_up(host, port));
  int error = 0;
  for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
    const int fd = ::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
    if (fd < 0) continue;
    ListenSocket socket(fd);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd, one->ai_addr, one->ai_addrlen) == 0 && ::listen(fd, kBacklog) == 0) {
      return socket;
    }
    error = errno;
  }
  return fail(Code::kIo, "cannot listen on {}:{}: {}", host.empty() ? "*" : host, port,
              std::strerror(error));
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

ListenSocket::~ListenSocket() {
  if (fd_ >= 0) ::close(fd_);
}

int ListenSocket::port() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
  const bool v6 = address.ss_family == AF_INET6;
  return ntohs(v6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                  : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

Result<std::optional<Socket>> ListenSocket::accept(milliseconds patience) {
  pollfd readable = {.fd = fd_, .events = POLLIN, .revents = 0};
  const int wait = static_cast<int>(std::max<int64_t>(patience.count(), 0));
  if (::poll(&readable, 1, wait) <= 0) return std::optional<Socket>();
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EINTR || errno == ECONNABORTED) return std::optional<Socket>();
    return fail(Code::kIo, "cannot accept a connection: {}", std::strerror(errno));
  }
  return std::optional<Socket>(Socket(fd));
}

}  // namespace hachi::inline core
