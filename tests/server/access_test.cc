// Who may ask: keys and their limits, hosts and origins, routes and methods.
#include <future>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/fake_server.h"
#include "server/http_talk.h"
#include "server/origins.h"

namespace hachi::server::testing {
namespace {

std::shared_ptr<const KeyRing> ring_of(std::string_view secret, const KeyLimits& limits = {}) {
  std::vector<Key> keys(1);
  keys[0].name = "alice";
  keys[0].hash = sha256(secret);
  keys[0].limiter = std::make_shared<RateLimiter>(limits);
  return std::make_shared<const KeyRing>(std::move(keys));
}

constexpr std::string_view kAlice = "Authorization: Bearer sk-alice\r\n";

std::string chat_request(std::string_view headers, std::string_view more = R"("max_tokens":2)") {
  return post("/v1/chat/completions", chat_body("Hello", more), headers);
}

TEST(Keys, AreAskedForBeforeTheBody) {
  FakeServer server({.keys = ring_of("sk-alice")});
  for (const char* header : {"", "Authorization: Bearer sk-alic\r\n", "x-api-key: sk-alicee\r\n",
                             "Authorization: Basic sk-alice\r\n", "Authorization: Bearer \r\n"}) {
    RawClient client(server.port());
    client.send(
        fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{}"
                    "Content-Length: 1000000\r\n\r\n",
                    header));
    const Reply refused = parse_reply(client.read_all());
    EXPECT_EQ(refused.status, 401) << header;
    EXPECT_EQ(refused.header("WWW-Authenticate"), "Bearer");
    EXPECT_EQ(refused.error_field("code"), "invalid_api_key");
    EXPECT_EQ(refused.error_field("type"), "authentication_error");
  }
  const Reply anthropic = ask(server.port(), post("/v1/messages", "{}"));
  EXPECT_EQ(anthropic.status, 401);
  EXPECT_EQ(anthropic.json().at("type").as_string(), "error");
  EXPECT_EQ(server.num_loads(), 0);
  EXPECT_EQ(ask(server.port(), chat_request(kAlice)).status, 200);
  EXPECT_EQ(ask(server.port(), chat_request("x-api-key: sk-alice\r\n")).status, 200);
}

TEST(Keys, AreNotAskedForEverywhere) {
  FakeServer server({.keys = ring_of("sk-alice")});
  for (const char* path : {"/health", "/metrics", "/"}) {
    EXPECT_EQ(ask(server.port(), http("GET", path, "")).status, 200) << path;
  }
  EXPECT_EQ(ask(server.port(), http("GET", "/v1/models", "")).status, 401);
  EXPECT_EQ(ask(server.port(), http("GET", "/v1/models", "", kAlice)).status, 200);
}

TEST(Keys, ThatAreTakenBack) {
  FakeServer server({.keys = ring_of("sk-alice")});
  server.gate.close();
  auto running =
      std::async(std::launch::async, [&] { return ask(server.port(), chat_request(kAlice)); });
  ASSERT_TRUE(server.gate.holds());
  RawClient sending(server.port());
  const std::string request = chat_request(kAlice);
  sending.send(request.substr(0, request.find("\r\n\r\n") + 4));
  sending.send(request.substr(request.find("\r\n\r\n") + 4, 10));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  server.app().keys().set(ring_of("sk-bob"));
  sending.send(request.substr(request.find("\r\n\r\n") + 14));
  EXPECT_TRUE(sending.read_until("invalid_api_key"));
  EXPECT_EQ(parse_reply(sending.received()).status, 401);
  server.gate.open();
  EXPECT_EQ(running.get().status, 200);  // it was admitted
  EXPECT_EQ(ask(server.port(), chat_request(kAlice)).status, 401);
  EXPECT_EQ(ask(server.port(), chat_request("x-api-key: sk-bob\r\n")).status, 200);
}

TEST(Keys, AskForSoManyAtOnce) {
  FakeServer server({.keys = ring_of("sk-alice", {.concurrency = 1})});
  server.gate.close();
  auto running = std::async(std::launch::async, [&] {
    return ask(server.port(), chat_request(kAlice, R"("stream":true,"max_tokens":2)"));
  });
  ASSERT_TRUE(server.gate.holds());
  const Reply refused = ask(server.port(), chat_request(kAlice));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.error_field("code"), "rate_limit_exceeded");
  EXPECT_NE(refused.header("Retry-After"), "");
  server.gate.open();
  EXPECT_TRUE(read_stream(running.get()).is_done);
  EXPECT_TRUE(eventually([&] { return ask(server.port(), chat_request(kAlice)).status == 200; }));
  // One that leaves gives its place back.
  server.gate.close();
  RawClient leaving(server.port());
  leaving.send(chat_request(kAlice));
  ASSERT_TRUE(server.gate.holds());
  leaving.reset();
  server.gate.open();
  EXPECT_TRUE(eventually([&] { return ask(server.port(), chat_request(kAlice)).status == 200; }));
}

TEST(Keys, AskForSoMuchAMinute) {
  FakeServer server(
      {.keys = ring_of("sk-alice", {.requests_per_minute = 2, .tokens_per_minute = 10'000})});
  for (int i = 0; i < 2; ++i) {
    const Reply reply = ask(server.port(), chat_request(kAlice));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.header("x-ratelimit-limit-requests"), "2");
    EXPECT_EQ(reply.header("x-ratelimit-remaining-requests"), std::to_string(1 - i));
    EXPECT_EQ(reply.header("x-ratelimit-limit-tokens"), "10000");
    EXPECT_NE(reply.header("x-ratelimit-reset-requests"), "");
  }
  const Reply refused = ask(server.port(), chat_request(kAlice));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("x-ratelimit-remaining-requests"), "0");
  EXPECT_GE(std::stoi(refused.header("Retry-After")), 20);
  // A request that is refused for what it says counts too; one that asks for no answer does not.
  EXPECT_EQ(ask(server.port(), http("GET", "/v1/models", "", kAlice)).status, 200);
}

// There is no time to come again to a limit that is less than the request alone.
TEST(Keys, DoNotAskToWaitInVain) {
  FakeServer server({.keys = ring_of("sk-alice", {.tokens_per_minute = 1})});
  const Reply refused = ask(server.port(), chat_request(kAlice));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("Retry-After"), "");
}

TEST(Origins, LocalHosts) {
  for (const char* host : {"localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8080", "127.8.9.10",
                           "[::1]", "[::1]:8080", "::1"}) {
    EXPECT_TRUE(is_local_host(host)) << host;
  }
  for (const char* host :
       {"127.evil.example", "127.0.0.1.evil.example:8080", "127.0.0.1evil.example", "127.",
        "127.0.0.256", "127.0.0", "localhost.evil.example", "evil.example", "128.0.0.1", "[::2]",
        "[::1].evil.example", "0.0.0.0", "", "1.127.0.0"}) {
    EXPECT_FALSE(is_local_host(host)) << host;
  }
}

TEST(Origins, OfPagesAndHosts) {
  struct Case {
    const char* host;
    const char* origin;
    int status;
  };
  FakeServerOptions options;
  options.app.cors_origins = {"https://good.example"};
  FakeServer server(options);
  for (const Case& one : {Case{"localhost", "", 200},
                          {"127.0.0.1:80", "", 200},
                          {"evil.example", "", 403},
                          {"127.evil.example", "", 403},
                          {"localhost:8080", "http://localhost:8080", 200},
                          {"localhost:8080", "http://localhost:3000", 403},
                          {"localhost", "https://good.example", 200},
                          {"localhost", "https://good.example.evil", 403},
                          {"localhost", "http://evil.example", 403},
                          {"localhost", "null", 403},
                          {"evil.example", "http://evil.example", 403}}) {
    const std::string origin = *one.origin == 0 ? "" : fmt::format("Origin: {}\r\n", one.origin);
    const Reply reply =
        ask(server.port(),
            fmt::format("GET /v1/models HTTP/1.1\r\nHost: {}\r\n{}\r\n", one.host, origin));
    EXPECT_EQ(reply.status, one.status) << one.host << " " << one.origin;
    const bool is_cors = one.origin == options.app.cors_origins[0];
    EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), is_cors ? one.origin : "");
  }
  const Reply preflight = ask(server.port(), http("OPTIONS", "/v1/chat/completions", "",
                                                  "Origin: https://good.example\r\n"
                                                  "Access-Control-Request-Method: POST\r\n"));
  EXPECT_EQ(preflight.status, 204);
  EXPECT_NE(preflight.header("Access-Control-Allow-Headers").find("authorization"),
            std::string::npos);
  EXPECT_EQ(ask(server.port(), http("OPTIONS", "/v1/models", "", "Origin: http://x.y\r\n")).status,
            403);
}

// A page whose key is refused must be able to read why.
TEST(Origins, AreAllowedToReadTheRefusal) {
  FakeServerOptions options{.keys = ring_of("sk-alice")};
  options.app.cors_origins = {"*"};
  FakeServer server(options);
  const Reply refused = ask(server.port(), chat_request("Origin: https://good.example\r\n"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.header("Access-Control-Allow-Origin"), "https://good.example");
}

TEST(Routes, MethodsAndPaths) {
  struct Case {
    const char* method;
    const char* target;
    int status;
    const char* allow;
  };
  FakeServer server;
  for (const Case& one : {Case{"GET", "/v1/models", 200, ""},
                          {"HEAD", "/v1/models", 200, ""},
                          {"GET", "/v1/models?limit=3", 200, ""},
                          {"GET", "/v1/models/fake", 200, ""},
                          {"GET", "/v1/models/fa%6be", 200, ""},
                          {"GET", "/v1/models/other", 404, ""},
                          {"GET", "/v1/models/", 404, ""},
                          {"GET", "/v1/models/a%2Fb%00", 400, ""},
                          {"GET", "//v1/models", 404, ""},
                          {"GET", "/v1/../v1/models", 404, ""},
                          {"GET", "/V1/MODELS", 404, ""},
                          {"GET", "/nothing", 404, ""},
                          {"POST", "/v1/chat/completions/", 404, ""},
                          {"GET", "/v1/chat/completions", 405, "POST"},
                          {"HEAD", "/v1/chat/completions", 405, "POST"},
                          {"DELETE", "/v1/chat/completions", 405, "POST"},
                          {"POST", "/v1/models", 405, "GET, HEAD"},
                          {"POST", "/v1/models/fake", 405, "GET, HEAD"},
                          {"PUT", "/health", 405, "GET, HEAD"},
                          {"POST", "/", 405, "GET, HEAD"},
                          {"OPTIONS", "/v1/models", 405, "GET, HEAD"},
                          {"BREW", "/health", 405, "GET, HEAD"}}) {
    const Reply reply = ask(server.port(), http(one.method, one.target, ""));
    EXPECT_EQ(reply.status, one.status) << one.method << " " << one.target;
    EXPECT_EQ(reply.header("Allow"), one.allow) << one.method << " " << one.target;
    const bool is_head = std::string_view(one.method) == "HEAD";
    EXPECT_TRUE(!is_head || reply.body.empty());
    if (reply.status >= 400 && !is_head) {
      EXPECT_EQ(reply.error_field("type"),
                one.status == 404 ? "not_found_error" : "invalid_request_error");
    }
  }
}

}  // namespace
}  // namespace hachi::server::testing
