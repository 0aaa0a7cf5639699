// The client against our server, and against servers that only send bytes.
#include "net/http_client.h"

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "net/byte_server.h"
#include "net/test_server.h"
#include "net/tls_files.h"

namespace hachi::net {
namespace {

using namespace std::chrono_literals;

// A context with a client on it; run() runs a coroutine to its end.
struct TestClient {
  explicit TestClient(const std::string& url, ClientOptions options = {}) {
    auto made = HttpClient::create(context.get_executor(), *parse_url(url), std::move(options));
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    if (made) client.emplace(*std::move(made));
  }

  void run(const std::function<awaitable<void>()>& task) {
    boost::asio::co_spawn(context, task, [](const std::exception_ptr& thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    context.run();
    context.restart();
  }

  Result<HttpResponse> send(ClientRequest request) {
    Result<HttpResponse> result = fail(Code::kInternal, "never ran");
    run([&]() -> awaitable<void> { result = co_await client->send(std::move(request)); });
    return result;
  }

  Result<HttpResponse> get(const std::string& target) {
    ClientRequest request;
    request.target = target;
    return send(std::move(request));
  }

  boost::asio::io_context context;
  std::optional<HttpClient> client;
};

std::string url_of(uint16_t port) { return fmt::format("http://127.0.0.1:{}", port); }

void expect_error(const Result<HttpResponse>& result, Code code, std::string_view part) {
  ASSERT_FALSE(result) << part;
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_TRUE(has(result.error().message, part)) << result.error().message;
}

TEST(HttpClient, SendsAndKeepsTheConnection) {
  const TestServer server;
  TestClient client(url_of(server.port()));
  for (int i = 0; i < 10; ++i) {
    ClientRequest request;
    request.method = "POST";
    request.target = fmt::format("/echo?{}", i);
    request.headers.add("X-Y", "z\r\nEvil: 1");
    request.body = "the body";
    const auto response = client.send(std::move(request));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->headers.find("x-path"), "/echo");
    EXPECT_EQ(response->body, fmt::format("POST /echo [{}] the body", i));
  }
  EXPECT_EQ(client.client->num_connects(), 1);
}

TEST(HttpClient, AnErrorStatusIsAnAnswer) {
  const TestServer server;
  TestClient client(url_of(server.port()));
  const auto refused = client.get("/refused");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 404);
  EXPECT_TRUE(has(refused->body, "no such route"));
  ASSERT_TRUE(client.get("/echo"));  // over a new connection: a refusal closes
  EXPECT_EQ(client.client->num_connects(), 2);
}

TEST(HttpClient, ReadsAStreamAsItComes) {
  const TestServer server;
  TestClient client(url_of(server.port()));
  std::string body;
  client.run([&]() -> awaitable<void> {
    ClientRequest request;
    request.target = "/stream";
    const auto head = co_await client.client->begin(std::move(request));
    EXPECT_TRUE(head && head->status == 200);
    for (;;) {
      const auto piece = co_await client.client->read();
      EXPECT_TRUE(piece);
      if (!piece || piece->empty()) break;
      body += *piece;
    }
  });
  EXPECT_EQ(body, "onetwothree");
  ASSERT_TRUE(client.get("/echo"));
  EXPECT_EQ(client.client->num_connects(), 1);
}

TEST(HttpClient, ReadsWhatTheSocketDoesNotTakeAtOnce) {
  const TestServer server;
  TestClient client(url_of(server.port()));
  const auto response = client.get("/big");
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_TRUE(response->body == big_text());
  RawClient slow(server.port(), 4096);
  slow.send("GET /big HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(slow.read_all().ends_with("\r\n\r\n" + big_text()));
}

TEST(HttpClient, LeavingAStreamCostsTheConnectionAndTellsTheServer) {
  TestServer server;
  TestClient client(url_of(server.port()), {.max_body_bytes = UINT64_MAX});
  client.run([&]() -> awaitable<void> {
    ClientRequest request;
    request.target = "/endless";
    const auto head = co_await client.client->begin(std::move(request));
    EXPECT_TRUE(head);
    const auto piece = co_await client.client->read();
    EXPECT_TRUE(piece && !piece->empty());
    const auto response = co_await client.client->send(ClientRequest());
    EXPECT_TRUE(response);
  });
  EXPECT_EQ(client.client->num_connects(), 2);
  EXPECT_TRUE(server.counters.gone.reaches(1));
}

TEST(HttpClient, AStreamCutShortIsAnError) {
  const TestServer server;
  TestClient client(url_of(server.port()));
  expect_error(client.get("/unended"), Code::kIo, "broke off");
  const auto head = client.get("/echo");
  EXPECT_TRUE(head);
}

TEST(HttpClient, ReadsAllFramings) {
  const struct {
    const char* answer;
    const char* body;
  } cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"},
      {"HTTP/1.1 200 OK\r\n\r\nabc", "abc"},
      {"HTTP/1.0 200 OK\r\n\r\nabc", "abc"},
      {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", ""},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;e\r\nab\r\n1\r\nc\r\n0\r\nT: "
       "t\r\n\r\n",
       "abc"},
      {"HTTP/1.1 204 No Content\r\n\r\n", ""},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
       "a"},
  };
  for (const auto& one : cases) {
    const ByteServer server({one.answer});
    TestClient client(url_of(server.port()));
    const auto response = client.get("/");
    ASSERT_TRUE(response) << one.answer << ": " << response.error().message;
    EXPECT_EQ(response->body, one.body) << one.answer;
  }
}

TEST(HttpClient, RefusesWhatIsNotHttp) {
  const struct {
    const char* answer;
    Code code;
    const char* part;
  } cases[] = {
      {"", Code::kIo, "without an answer"},
      {"HTTP/1.1 200 OK\r\nConte", Code::kIo, "without an answer"},
      {"SSH-2.0-server\r\n\r\n", Code::kCorrupt, "not HTTP"},
      {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", Code::kCorrupt, "not HTTP"},
      {"HTTP/2.0 200 OK\r\n\r\n", Code::kCorrupt, "not HTTP"},
      {"HTTP/1.1 2x0 OK\r\n\r\n", Code::kCorrupt, "not HTTP"},
      {"HTTP/1.1 101 Switching\r\n\r\n", Code::kCorrupt, "changed the protocol"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Code::kIo, "broke off"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", Code::kIo, "broke off"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Code::kCorrupt, "chunks"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Code::kUnsupported, "other than"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", Code::kCorrupt,
       "not HTTP"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", Code::kLimit, "more than 100"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", Code::kLimit, "100 bytes"},
  };
  for (const auto& one : cases) {
    const ByteServer server({one.answer});
    TestClient client(url_of(server.port()), {.max_body_bytes = 100});
    expect_error(client.get("/"), one.code, one.part);
  }
  const std::string endless(1000, 'x');
  for (const std::string& answer :
       {"HTTP/1.1 200 OK\r\nX: " + endless, "HTTP/1.1 200 OK\r\n\r\n" + endless}) {
    const ByteServer server({answer});
    TestClient client(url_of(server.port()), {.max_header_bytes = 500, .max_body_bytes = 500});
    expect_error(client.get("/"), Code::kLimit, "larger than 500 bytes");
  }
}

TEST(HttpClient, AKeptConnectionThatClosedIsMadeAnew) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
  const ByteServer server({answer, answer + "unasked"});
  TestClient client(url_of(server.port()));
  EXPECT_TRUE(client.get("/"));
  std::this_thread::sleep_for(20ms);  // the server closes after each answer
  EXPECT_TRUE(client.get("/"));
  EXPECT_EQ(client.client->num_connects(), 2);
}

TEST(HttpClient, TimesOut) {
  TestServer server;
  TestClient idle(url_of(server.port()), {.idle_timeout = 50ms});
  expect_error(idle.get("/wait"), Code::kIo, "did nothing for 50 ms");
  TestClient total(url_of(server.port()), {.total_timeout = 50ms, .max_body_bytes = UINT64_MAX});
  expect_error(total.get("/endless"), Code::kIo, "took longer than 50 ms");
  EXPECT_TRUE(server.counters.gone.reaches(2));
}

TEST(HttpClient, SaysWhenNothingAnswers) {
  uint16_t port = 0;
  {
    const TestServer server;
    port = server.port();
  }
  TestClient refused(url_of(port));
  expect_error(refused.get("/"), Code::kIo, "cannot connect: Connection refused");
  TestClient unknown("http://no-such-host.invalid");
  expect_error(unknown.get("/"), Code::kIo, "no such host");
}

TEST(HttpClient, RefusesRequestsThatWouldBeTwo) {
  TestClient client("http://127.0.0.1:1");
  expect_error(client.get("/ HTTP/1.1\r\nX: y\r\n\r\nGET /"), Code::kInvalidArgument, "a path");
  expect_error(client.get("no-slash"), Code::kInvalidArgument, "a path");
}

TEST(HttpClient, CloseEndsWhatWaits) {
  TestServer server;
  TestClient client(url_of(server.port()));
  boost::asio::steady_timer timer(client.context, 50ms);
  timer.async_wait([&](boost::system::error_code) { client.client->close(); });
  expect_error(client.get("/wait"), Code::kCancelled, "closed");
  timer.expires_after(50ms);
  timer.async_wait([&](boost::system::error_code) { client.client.reset(); });
  expect_error(client.get("/wait"), Code::kCancelled, "closed");
  EXPECT_TRUE(server.counters.gone.reaches(2));
}

TEST(HttpTls, TrustsTheCertificateItIsGiven) {
  const TlsFiles files;
  TestServer server({.tls_certificate = files.certificate, .tls_key = files.key});
  for (const char* host : {"127.0.0.1", "localhost"}) {
    TestClient client(fmt::format("https://{}:{}", host, server.port()),
                      {.ca_file = files.certificate});
    for (int i = 0; i < 3; ++i) {
      ClientRequest request;
      request.method = "POST";
      request.target = "/echo";
      request.body = std::string(kTestBodyLimit, 'b');
      const auto response = client.send(std::move(request));
      ASSERT_TRUE(response) << response.error().message;
      EXPECT_EQ(response->body, "POST /echo [] " + std::string(kTestBodyLimit, 'b'));
    }
    const auto stream = client.get("/stream");
    ASSERT_TRUE(stream);
    EXPECT_EQ(stream->body, "onetwothree");
    const auto big = client.get("/big");
    ASSERT_TRUE(big);
    EXPECT_TRUE(big->body == big_text());
    EXPECT_EQ(client.client->num_connects(), 1);
  }
}

TEST(HttpTls, RefusesOtherCertificatesAndNames) {
  const TlsFiles files;
  TestServer server(
      {.host = "0.0.0.0", .tls_certificate = files.certificate, .tls_key = files.key});
  TestClient stranger(fmt::format("https://127.0.0.1:{}", server.port()));
  expect_error(stranger.get("/echo"), Code::kIo, "certificate");
  TestClient wrong_name(fmt::format("https://127.0.0.2:{}", server.port()),
                        {.ca_file = files.certificate});
  expect_error(wrong_name.get("/echo"), Code::kIo, "IP address mismatch");
  TestClient trusting(fmt::format("https://127.0.0.1:{}", server.port()), {.verify = false});
  EXPECT_TRUE(trusting.get("/echo"));
  EXPECT_EQ(server.counters.begun.value(), 1);
}

TEST(HttpTls, StreamsMoreThanTheSocketTakesAndNoticesTheEnd) {
  const TlsFiles files;
  TestServer server({.tls_certificate = files.certificate, .tls_key = files.key});
  TestClient client(fmt::format("https://127.0.0.1:{}", server.port()),
                    {.max_body_bytes = 8 << 20, .ca_file = files.certificate});
  expect_error(client.get("/endless"), Code::kLimit, "larger than");
  EXPECT_TRUE(server.counters.gone.reaches(1));
  TestClient waiting(fmt::format("https://127.0.0.1:{}", server.port()),
                     {.idle_timeout = 50ms, .ca_file = files.certificate});
  expect_error(waiting.get("/wait"), Code::kIo, "did nothing");
  EXPECT_TRUE(server.counters.gone.reaches(2));
}

TEST(HttpTls, DropsClientsThatDoNotSpeakIt) {
  const TlsFiles files;
  TestServer server(
      {.header_timeout = 100ms, .tls_certificate = files.certificate, .tls_key = files.key});
  RawClient plain(server.port());
  plain.send(get("/echo"));
  plain.read_all();
  EXPECT_TRUE(plain.ended());
  RawClient silent(server.port());
  silent.read_all();
  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(server.becomes_empty());
}

}  // namespace
}  // namespace hachi::net
