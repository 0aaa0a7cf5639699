// The clients of bench_serve_overhead: they run in a process of their own, so that what they cost
// does not count as the server's.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "core/check.h"
#include "core/clock.h"

namespace hachi::bench {

struct ClientReport {
  double seconds = 0;
  double gap_mean = 0, gap_p50 = 0, gap_p99 = 0, gap_max = 0;  // between reads with tokens, s
  double tokens_per_read = 0;
};

inline int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

inline std::string chat_request(std::string_view fields) {
  const std::string body = fmt::format(
      R"({{"model":"fake","messages":[{{"role":"user","content":"Hello"}}],"ignore_eos":true,)"
      R"("temperature":0,{}}})",
      fields);
  return fmt::format(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
}

inline void send_all(int fd, std::string_view bytes) {
  CHECK(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

// One request and its answer, which is short.
inline void ask_once(int fd, std::string_view request) {
  send_all(fd, request);
  std::array<char, 8192> buffer;
  size_t size = 0;
  while (true) {
    const ssize_t count = ::recv(fd, buffer.data() + size, buffer.size() - size, 0);
    CHECK(count > 0);
    size += static_cast<size_t>(count);
    const std::string_view text(buffer.data(), size);
    const size_t head = text.find("\r\n\r\n");
    if (head == text.npos) continue;
    CHECK(text.starts_with("HTTP/1.1 200"));
    constexpr std::string_view kLength = "Content-Length: ";
    const size_t at = text.find(kLength);
    CHECK(at < head);
    if (size >= head + 4 + std::strtoul(text.data() + at + kLength.size(), nullptr, 10)) return;
  }
}

// `connections` clients, each of which asks as soon as it has its answer.
inline ClientReport ask_for_answers(uint16_t port, int connections, int requests_each) {
  const std::string request = chat_request(R"("max_tokens":1)");
  const Stopwatch watch;
  std::vector<std::thread> clients;
  for (int i = 0; i < connections; ++i) {
    clients.emplace_back([&] {
      const int fd = connect_to(port);
      for (int r = 0; r < requests_each; ++r) ask_once(fd, request);
      ::close(fd);
    });
  }
  for (std::thread& client : clients) client.join();
  return {watch.seconds()};
}

inline int64_t count_tokens(std::string_view text) {
  constexpr std::string_view kToken = "\"content\":\"x\"";
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(kToken, at)) != text.npos; at += kToken.size()) ++count;
  return count;
}

// Reads `count` streams to their ends, on one thread.
inline ClientReport read_streams(uint16_t port, int count, int64_t tokens) {
  struct Reader {
    int fd;
    double last = 0;  // news; 0: none yet
    std::string tail;
  };
  const std::string request = chat_request(fmt::format(R"("stream":true,"max_tokens":{})", tokens));
  const int poll = ::epoll_create1(0);
  std::vector<Reader> readers;
  const Stopwatch watch;
  for (int i = 0; i < count; ++i) {
    readers.push_back({connect_to(port)});
    epoll_event event = {EPOLLIN, {.u32 = static_cast<uint32_t>(i)}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, readers.back().fd, &event);
    send_all(readers.back().fd, request);
  }
  std::vector<float> gaps;
  int64_t num_tokens = 0, num_reads = 0;
  std::array<epoll_event, 256> events;
  std::array<char, 65536> buffer;
  for (int left = count; left > 0;) {
    const int ready = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int e = 0; e < ready; ++e) {
      Reader& reader = readers[events[static_cast<size_t>(e)].data.u32];
      const ssize_t size = ::recv(reader.fd, buffer.data(), buffer.size(), 0);
      CHECK(size > 0);
      const std::string_view text(buffer.data(), static_cast<size_t>(size));
      const double now = watch.seconds();
      if (const int64_t news = count_tokens(text); news > 0) {
        if (reader.last > 0) gaps.push_back(static_cast<float>(now - reader.last));
        reader.last = now;
        num_tokens += news;
        ++num_reads;
      }
      reader.tail =
          (reader.tail + std::string(text.substr(text.size() - std::min<size_t>(text.size(), 32))));
      if (reader.tail.find("[DONE]\n\n\r\n0\r\n\r\n") == std::string::npos) {
        reader.tail.erase(0, reader.tail.size() - std::min<size_t>(reader.tail.size(), 32));
        continue;
      }
      ::close(reader.fd);
      --left;
    }
  }
  ClientReport report{watch.seconds()};
  ::close(poll);
  std::sort(gaps.begin(), gaps.end());
  if (gaps.empty()) return report;
  const auto at = [&](double share) {
    return static_cast<double>(
        gaps[static_cast<size_t>(share * static_cast<double>(gaps.size() - 1))]);
  };
  report.tokens_per_read = static_cast<double>(num_tokens) / static_cast<double>(num_reads);
  report.gap_mean =
      std::accumulate(gaps.begin(), gaps.end(), 0.0) / static_cast<double>(gaps.size());
  report.gap_p50 = at(0.5);
  report.gap_p99 = at(0.99);
  report.gap_max = at(1);
  return report;
}

}  // namespace hachi::bench
