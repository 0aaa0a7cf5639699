// A server with a handler for each thing that a test asks of it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "net/http_server.h"
#include "net/raw_client.h"

namespace hachi::net {

inline constexpr uint64_t kTestBodyLimit = 1000;

// A number that threads count up and a test waits for.
class Counter {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++value_;
    changed_.notify_all();
  }
  int value() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  // True when it gets there within ten seconds.
  bool reaches(int value) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return value_ >= value; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int value_ = 0;
};

struct Counters {
  Counter begun;     // handlers
  Counter ended;     // the same
  Counter gone;      // callbacks of on_client_gone
  Counter refusals;  // writes and sends that said that the client is gone
};

inline awaitable<void> pause(Exchange& exchange, std::chrono::milliseconds time) {
  boost::asio::steady_timer timer(exchange.executor(), time);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

// More than sockets take at once; no two stretches of it are the same.
inline std::string big_text() {
  std::string text;
  for (int i = 0; text.size() < 4 << 20; ++i) text += std::to_string(i) + " ";
  return text;
}

// /echo: method, path, query and body; /wait: waits until the client goes, then tries to answer;
// /stream: three chunks; /big: big_text(), a MiB a write; /endless: chunks until the client goes;
// /throw, /throw_late, /silent, /unended: what their names say.
class TestHandler {
 public:
  explicit TestHandler(Counters& counters) : counters_(counters) {}

  awaitable<void> operator()(Exchange& exchange) {
    counters_.begun.add();
    const std::string path = exchange.request().path;
    if (path == "/throw") {
      counters_.ended.add();
      throw std::runtime_error("thrown by the test");
    }
    if (path == "/wait") {
      co_await wait(exchange);
    } else if (path == "/big") {
      co_await big(exchange);
    } else if (path == "/endless") {
      co_await endless(exchange);
    } else if (path == "/stream" || path == "/throw_late" || path == "/unended") {
      co_await stream(exchange, path);
    } else if (path != "/silent") {
      co_await echo(exchange);
    }
    counters_.ended.add();
  }

 private:
  awaitable<void> echo(Exchange& exchange) {
    const HttpRequest& request = exchange.request();
    HttpResponse response;
    response.headers.add("X-Path", request.path);
    response.body = request.method + " " + request.path + " [" + request.query + "] ";
    response.body += exchange.take_body();
    const bool sent = co_await exchange.send(std::move(response));
    if (!sent) counters_.refusals.add();
  }

  awaitable<void> wait(Exchange& exchange) {
    boost::asio::steady_timer timer(exchange.executor(), std::chrono::seconds(20));
    exchange.on_client_gone([&] {
      counters_.gone.add();
      timer.cancel();
    });
    boost::system::error_code error;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
    HttpResponse response;
    const bool sent = co_await exchange.send(std::move(response));
    if (!sent && exchange.client_gone()) counters_.refusals.add();
  }

  awaitable<void> big(Exchange& exchange) {
    bool alive = co_await exchange.begin_stream(200, Headers());
    const std::string text = big_text();
    for (size_t at = 0; alive && at < text.size(); at += 1 << 20) {
      alive = co_await exchange.write(std::string_view(text).substr(at, 1 << 20));
    }
    if (alive) co_await exchange.end_stream();
  }

  awaitable<void> endless(Exchange& exchange) {
    exchange.on_client_gone([&] { counters_.gone.add(); });
    bool alive = co_await exchange.begin_stream(200, Headers());
    const std::string piece(64 << 10, 'x');
    while (alive) {
      alive = co_await exchange.write(piece);
      co_await pause(exchange, std::chrono::milliseconds(1));
    }
    if (exchange.client_gone()) counters_.refusals.add();
  }

  awaitable<void> stream(Exchange& exchange, std::string path) {
    Headers headers;
    headers.add("Content-Type", "text/event-stream");
    bool alive = co_await exchange.begin_stream(200, std::move(headers));
    for (const char* piece : {"one", "", "two", "three"}) {
      if (alive) alive = co_await exchange.write(piece);
    }
    if (path == "/throw_late") throw std::runtime_error("thrown by the test");
    if (alive && path == "/stream") co_await exchange.end_stream();
  }

  Counters& counters_;
};

// Refuses POST /refused with 404 at the head; allows kTestBodyLimit bytes elsewhere.
inline std::variant<uint64_t, HttpResponse> test_head_check(const HttpRequest& head) {
  if (head.path == "/refused") return error_response(404, "no such route");
  return kTestBodyLimit;
}

struct TestServer {
  explicit TestServer(ServerOptions options = {}) {
    auto started = HttpServer::start(std::move(options), TestHandler(counters), test_head_check);
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
    if (started) server = *std::move(started);
  }
  uint16_t port() const { return server->port(); }

  // True when all connections have ended within ten seconds.
  bool becomes_empty() const {
    for (int i = 0; i < 1000 && server->num_connections() > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return server->num_connections() == 0;
  }

  Counters counters;  // outlives the server
  std::unique_ptr<HttpServer> server;
};

inline const std::string kHost = "Host: localhost\r\n";
inline const std::string kClose = "Connection: close\r\n";

inline std::string get(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\n" + kHost + headers + "\r\n";
}

inline bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// The whole answer to `request`, after which the server closes.
inline std::string answer(const TestServer& server, const std::string& request) {
  RawClient client(server.port());
  client.send(request);
  const std::string text = client.read_all();
  EXPECT_TRUE(client.ended()) << request;
  return text;
}

inline int status_of(const std::string& answer) {
  return answer.size() < 12 ? 0 : std::stoi(answer.substr(9, 3));
}

}  // namespace hachi::net
