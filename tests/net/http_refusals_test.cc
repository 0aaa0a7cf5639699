// What the server refuses: malformed requests, each with its status, and what passes a limit.
#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "net/raw_client.h"
#include "net/test_server.h"

namespace hachi::net {
namespace {

using namespace std::chrono_literals;

struct Refused {
  const char* name;
  int status;
  std::string request;
};

std::string post(const std::string& headers, const std::string& body = "") {
  return "POST /echo HTTP/1.1\r\n" + kHost + headers + "\r\n" + body;
}

const std::string kChunked = "Transfer-Encoding: chunked\r\n";

std::vector<Refused> malformed() {
  return {
      {"garbage", 400, "\x16\x03\x01\x02garbage"},
      {"nul", 400, std::string("GET /\0 HTTP/1.1\r\n\r\n", 19)},
      {"bare_lf", 400, "GET / HTTP/1.1\nHost: x\n\n"},
      {"bare_cr", 400, "GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n"},
      {"fold", 400, get("/", "X: a\r\n b\r\n")},
      {"space_before_colon", 400, get("/", "X : a\r\n")},
      {"no_colon", 400, get("/", "X\r\n")},
      {"empty_name", 400, get("/", ": x\r\n")},
      {"bad_name", 400, get("/", "X\"Y: x\r\n")},
      {"no_version", 400, "GET /\r\n\r\n"},
      {"version_2", 505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"},
      {"version_09", 505, "GET / HTTP/0.9\r\n\r\n"},
      {"two_spaces", 400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"no_host", 400, "GET / HTTP/1.1\r\n\r\n"},
      {"two_hosts", 400, get("/", "Host: other\r\n")},
      {"relative_target", 400, get("echo")},
      {"connect", 400, "CONNECT host:443 HTTP/1.1\r\nHost: host\r\n\r\n"},
      {"star", 400, get("*")},
      {"fragment", 400, get("/a#b")},
      {"url_without_host", 400, get("http:///path")},
      {"percent_end", 400, get("/a%4")},
      {"percent_digits", 400, get("/a%4g")},
      {"percent_nul", 400, get("/a%00")},
      {"expect", 417, post("Expect: a-miracle\r\nContent-Length: 0\r\n")},
      {"length_and_coding", 400, post("Content-Length: 3\r\n" + kChunked, "0\r\n\r\n")},
      {"coding_and_length", 400, post(kChunked + "Content-Length: 3\r\n", "0\r\n\r\n")},
      {"two_lengths", 400, post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd")},
      {"length_list", 400, post("Content-Length: 3, 4\r\n", "abcd")},
      {"length_sign", 400, post("Content-Length: +3\r\n", "abc")},
      {"length_negative", 400, post("Content-Length: -1\r\n")},
      {"length_hex", 400, post("Content-Length: 0x3\r\n", "abc")},
      {"length_overflow", 400, post("Content-Length: 18446744073709551617\r\n", "a")},
      {"length_empty", 400, post("Content-Length: \r\n")},
      {"coding_unknown", 501, post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
      {"coding_last", 501, post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")},
      {"coding_twice", 400, post(kChunked + kChunked, "0\r\n\r\n")},
      {"coding_http10", 400, "POST /echo HTTP/1.0\r\n" + kChunked + "\r\n0\r\n\r\n"},
      {"chunk_size", 400, post(kChunked, "x\r\n")},
      {"chunk_size_empty", 400, post(kChunked, "\r\n")},
      {"chunk_size_long", 400, post(kChunked, "00000000000000001\r\na\r\n0\r\n\r\n")},
      {"chunk_size_prefix", 400, post(kChunked, "0x1\r\na\r\n0\r\n\r\n")},
      {"chunk_bare_lf", 400, post(kChunked, "1\na\r\n0\r\n\r\n")},
      {"chunk_longer", 400, post(kChunked, "1\r\nab\r\n0\r\n\r\n")},
      {"chunk_extension", 400, post(kChunked, "1;\x01\r\na\r\n0\r\n\r\n")},
      {"trailer_lf", 400, post(kChunked, "0\r\nA: b\n\r\n")},
      {"chunk_extension_long", 400, post(kChunked, "1;" + std::string(20'000, 'e'))},
      {"trailer_long", 400, post(kChunked, "0\r\nA: " + std::string(20'000, 'e'))},
      {"body_large", 413, post("Content-Length: 1001\r\n", "a")},
      {"body_huge", 413, post("Content-Length: 18446744073709551615\r\n", "a")},
      {"chunk_large", 413, post(kChunked, "3e9\r\na")},
      {"chunk_huge", 413, post(kChunked, "ffffffffffffffff\r\na")},
      {"chunks_large", 413, post(kChunked, "1\r\na\r\n3e8\r\na")},
      {"head_large", 431, get("/", "X: " + std::string(40'000, 'x') + "\r\n")},
      {"head_endless", 431, "GET /" + std::string(33'000, 'x')},
      {"fields_many", 431,
       [] {
         std::string fields;
         for (int i = 0; i < 300; ++i) fields += "X: y\r\n";
         return get("/", fields);
       }()},
      {"empty_lines", 431,
       [] {
         std::string lines;
         for (int i = 0; i < 20'000; ++i) lines += "\r\n";
         return lines;
       }()},
  };
}

TEST(HttpRefusals, MalformedRequestsGetTheirStatusAndTheClose) {
  const TestServer server;
  for (const Refused& refused : malformed()) {
    const std::string text = answer(server, refused.request);
    EXPECT_EQ(status_of(text), refused.status) << refused.name << ": " << text;
    EXPECT_TRUE(has(text, "\r\nConnection: close\r\n")) << refused.name;
    EXPECT_TRUE(has(text, "\r\n\r\n{\"error\":{\"message\":\"")) << refused.name;
  }
  EXPECT_EQ(server.counters.begun.value(), 0);
  EXPECT_EQ(status_of(answer(server, get("/echo", kClose))), 200);
}

TEST(HttpRefusals, TheLastPermittedBytesArePermitted) {
  const TestServer server({.max_header_bytes = 200});
  const std::string body(kTestBodyLimit, 'b');
  EXPECT_TRUE(has(answer(server, post(kClose + "Content-Length: 1000\r\n", body)), body));
  const std::string chunks = "1\r\nb\r\n3e7\r\n" + body.substr(1) + "\r\n0\r\n\r\n";
  EXPECT_TRUE(has(answer(server, post(kClose + kChunked, chunks)), body));
  EXPECT_TRUE(has(answer(server, post(kClose + "Content-Length: 2\r\nContent-Length: 2\r\n", "ab")),
                  "POST /echo [] ab"));
  std::string head = get("/echo", kClose + "X: \r\n");
  head.insert(head.size() - 4, std::string(200 - head.size(), 'x'));
  EXPECT_EQ(status_of(answer(server, head)), 200);
  head.insert(head.size() - 4, 1, 'x');
  EXPECT_EQ(status_of(answer(server, head)), 431);
}

TEST(HttpRefusals, ARequestAfterAMalformedOneIsNotRead) {
  const TestServer server;
  const std::string text = answer(server, post(kChunked, "x\r\n") + get("/echo", kClose));
  EXPECT_EQ(text.find("HTTP/1.1", 1), std::string::npos);
  EXPECT_EQ(server.counters.begun.value(), 0);
}

TEST(HttpRefusals, SlowHeadsAndBodiesAre408) {
  const TestServer server({.header_timeout = 100ms, .body_timeout = 100ms});
  for (const std::string& start :
       {std::string("GET /echo HT"), get("/echo").substr(0, 30),
        post("Content-Length: 10\r\n", "abc"), post(kChunked, "3\r\nab")}) {
    EXPECT_EQ(status_of(answer(server, start)), 408) << start;
  }
  EXPECT_TRUE(server.becomes_empty());
}

TEST(HttpRefusals, TricklingDoesNotExtendTheTime) {
  const TestServer server({.header_timeout = 200ms, .body_timeout = 200ms});
  for (const std::string& start : {get("/").substr(0, 18), post("Content-Length: 900\r\n")}) {
    RawClient client(server.port());
    client.send(start);
    for (int i = 0; client.received().empty() && i < 500; ++i) {
      client.send("x");
      client.read_within(10ms);
    }
    EXPECT_EQ(status_of(client.received()), 408) << start;
  }
}

TEST(HttpRefusals, IdleConnectionsAreClosedWithoutAWord) {
  const TestServer server({.idle_timeout = 50ms});
  RawClient silent(server.port());
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_TRUE(silent.ended());
  RawClient kept(server.port());
  kept.send(get("/echo"));
  EXPECT_TRUE(kept.read_all().ends_with("GET /echo [] "));
  EXPECT_TRUE(kept.ended());
}

TEST(HttpRefusals, OneConnectionTooManyIs503) {
  const TestServer server({.max_connections = 2});
  RawClient first(server.port());
  RawClient second(server.port());
  first.send(get("/echo"));
  second.send(get("/echo"));
  ASSERT_TRUE(first.read_until("[] ") && second.read_until("[] "));
  const std::string text = answer(server, get("/echo"));
  EXPECT_EQ(status_of(text), 503);
  EXPECT_TRUE(has(text, "\r\nRetry-After: 1\r\n"));
  first.close();
  for (int i = 0; i < 1000 && server.server->num_connections() > 1; ++i) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(status_of(answer(server, get("/echo", kClose))), 200);
}

}  // namespace
}  // namespace hachi::net
