// What a client sees of the server: requests in all their forms, answered, over real sockets.
#include "net/http_server.h"

#include <string>

#include <gtest/gtest.h>

#include "net/raw_client.h"
#include "net/test_server.h"

namespace hachi::net {
namespace {

TEST(HttpServer, AnswersARequest) {
  const TestServer server;
  const std::string text = answer(server, get("/echo?a=b%20c", kClose));
  EXPECT_EQ(text.substr(0, 17), "HTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(has(text, "\r\nContent-Length: 20\r\n"));
  EXPECT_TRUE(has(text, "\r\nConnection: close\r\n"));
  EXPECT_TRUE(has(text, "\r\nDate: "));
  EXPECT_TRUE(has(text, "\r\n\r\nGET /echo [a=b%20c] ")) << text;
}

TEST(HttpServer, KeepsAConnection) {
  const TestServer server;
  RawClient client(server.port());
  for (int i = 0; i < 20; ++i) {
    const std::string path = "/echo/" + std::to_string(i);
    client.send(get(path));
    ASSERT_TRUE(client.read_until("GET " + path + " [] "));
  }
  EXPECT_FALSE(has(client.received(), "Connection:"));
  EXPECT_EQ(server.server->num_connections(), 1);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  const TestServer server;
  RawClient client(server.port());
  std::string requests;
  for (int i = 0; i < 50; ++i) requests += get("/echo/" + std::to_string(i) + ".");
  requests += "POST /echo/last HTTP/1.1\r\n" + kHost + kClose + "Content-Length: 4\r\n\r\nbody";
  client.send(requests);
  const std::string text = client.read_all();
  size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = text.find("GET /echo/" + std::to_string(i) + ".", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(text.find("POST /echo/last [] body", at), std::string::npos);
}

TEST(HttpServer, TakesARequestByteByByte) {
  const TestServer server;
  RawClient client(server.port());
  const std::string request = "POST /echo HTTP/1.1\r\n" + kHost + kClose +
                              "Transfer-Encoding: chunked\r\n\r\n"
                              "3;x=\"y\"\r\nabc\r\n00a\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
  for (const char c : request) ASSERT_TRUE(client.send({&c, 1}));
  EXPECT_TRUE(has(client.read_all(), "POST /echo [] abc0123456789")) << client.received();
}

TEST(HttpServer, StreamsChunks) {
  const TestServer server;
  RawClient client(server.port());
  client.send(get("/stream") + get("/echo", kClose));
  const std::string& text = client.read_all();
  EXPECT_TRUE(has(text, "\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(has(text.substr(0, text.find("\r\n\r\n")), "Content-Length"));
  EXPECT_TRUE(has(text, "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\nHTTP/1.1 200"));
}

TEST(HttpServer, StreamsToHttp10UntilTheClose) {
  const TestServer server;
  const std::string text = answer(server, "GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_FALSE(has(text, "chunked"));
  EXPECT_TRUE(has(text, "\r\nConnection: close\r\n"));
  EXPECT_TRUE(has(text, "\r\n\r\nonetwothree"));
}

TEST(HttpServer, KeepsAnHttp10ConnectionWhenAsked) {
  const TestServer server;
  RawClient client(server.port());
  client.send("GET /echo/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(client.read_until("GET /echo/1 [] "));
  EXPECT_TRUE(has(client.received(), "\r\nConnection: keep-alive\r\n"));
  client.send("GET /echo/2 HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(has(client.read_all(), "GET /echo/2 [] "));
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  const TestServer server;
  RawClient client(server.port());
  client.send("HEAD /echo HTTP/1.1\r\n" + kHost + "\r\n");
  client.send("HEAD /stream HTTP/1.1\r\n" + kHost + "\r\n" + get("/echo", kClose));
  const std::string& text = client.read_all();
  EXPECT_TRUE(has(text, "\r\nContent-Length: 14\r\n"));
  EXPECT_FALSE(has(text, "HEAD /echo"));
  EXPECT_FALSE(has(text, "three"));
  EXPECT_TRUE(has(text, "GET /echo [] "));
}

TEST(HttpServer, AsksForABodyThatWaits) {
  const TestServer server;
  RawClient client(server.port());
  client.send("POST /echo HTTP/1.1\r\n" + kHost + kClose +
              "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  ASSERT_TRUE(client.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("hi");
  EXPECT_TRUE(has(client.read_all(), "POST /echo [] hi"));
}

TEST(HttpServer, RefusesByTheHeadBeforeTheBody) {
  const TestServer server;
  const std::string text = answer(server, "POST /refused HTTP/1.1\r\n" + kHost +
                                              "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(status_of(text), 404);
  EXPECT_FALSE(has(text, "100 Continue"));
  EXPECT_TRUE(has(text, R"({"error":{"message":"no such route","type":"invalid_request_error",)"
                        R"("param":null,"code":null}})"));
}

TEST(HttpServer, TakesTargetsInAllForms) {
  const TestServer server;
  EXPECT_TRUE(has(answer(server, get("http://host/a/b?c", kClose)), "GET /a/b [c] "));
  EXPECT_TRUE(has(answer(server, get("http://host?c", kClose)), "GET / [c] "));
  EXPECT_TRUE(
      has(answer(server, get("/%61/..//%2f%C3%A9?%zz", kClose)), "GET /a/..///\xC3\xA9 [%zz] "));
  EXPECT_TRUE(
      has(answer(server, "OPTIONS * HTTP/1.1\r\n" + kHost + kClose + "\r\n"), "OPTIONS * [] "));
}

TEST(HttpServer, SkipsEmptyLinesBeforeARequest) {
  const TestServer server;
  EXPECT_EQ(status_of(answer(server, "\r\n\r\n" + get("/echo", kClose))), 200);
}

TEST(HttpServer, AHeaderValueBeginsNoHeaderOfItsOwn) {
  const TestServer server;
  const std::string text = answer(server, get("/a%0d%0aX-Evil:%20yes", kClose));
  EXPECT_TRUE(has(text, "\r\nX-Path: /a  X-Evil: yes\r\n"));
}

TEST(HttpServer, SurvivesHandlersThatThrow) {
  const TestServer server;
  EXPECT_EQ(status_of(answer(server, get("/throw"))), 500);
  EXPECT_EQ(status_of(answer(server, get("/silent"))), 500);
  for (const char* path : {"/throw_late", "/unended"}) {
    const std::string text = answer(server, get(path));
    EXPECT_TRUE(has(text, "5\r\nthree\r\n"));
    EXPECT_FALSE(has(text, "0\r\n\r\n")) << path;
  }
  EXPECT_EQ(status_of(answer(server, get("/echo", kClose))), 200);
}

TEST(HttpServer, SpreadsOverThreads) {
  const TestServer server({.threads = 3});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 12; ++i) clients.push_back(std::make_unique<RawClient>(server.port()));
  for (auto& client : clients) client->send(get("/stream"));
  for (auto& client : clients) EXPECT_TRUE(client->read_until("\r\n0\r\n\r\n"));
  EXPECT_EQ(server.server->num_threads(), 3);
}

TEST(HttpServer, SaysWhyItCannotStart) {
  const TestServer server;
  const auto start = [](ServerOptions options) {
    Counters counters;
    auto started = HttpServer::start(std::move(options), TestHandler(counters), test_head_check);
    return started ? std::string() : started.error().message;
  };
  EXPECT_TRUE(has(start({.port = server.port()}), "is taken by another program"));
  EXPECT_TRUE(has(start({.host = "no.such.host.invalid"}), "no.such.host.invalid: not an address"));
  EXPECT_TRUE(has(start({.host = "192.0.2.1"}), "cannot listen on port 0 of 192.0.2.1: "));
  EXPECT_TRUE(has(start({.threads = 0}), "from 1 to 256 threads, got 0"));
  EXPECT_TRUE(has(start({.tls_certificate = "only.pem"}), "both a certificate and a key"));
  EXPECT_TRUE(has(start({.tls_certificate = "/none.pem", .tls_key = "/none.key"}),
                  "/none.pem: not a certificate"));
}

}  // namespace
}  // namespace hachi::net
