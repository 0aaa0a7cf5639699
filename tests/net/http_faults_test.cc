// Clients that leave, or do not read, at every stage; many streams at once; the server's own end.
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "net/raw_client.h"
#include "net/test_server.h"

namespace hachi::net {
namespace {

using namespace std::chrono_literals;

std::string post_of_ten(const std::string& path) {
  return "POST " + path + " HTTP/1.1\r\n" + kHost + "Content-Length: 10\r\n\r\n";
}

enum class Leaving { kClose, kReset, kHalfClose };

class HttpLeaving : public ::testing::TestWithParam<Leaving> {
 protected:
  void leave(RawClient& client) const {
    if (GetParam() == Leaving::kClose) client.close();
    if (GetParam() == Leaving::kReset) client.reset();
    if (GetParam() == Leaving::kHalfClose) client.shutdown_send();
  }
};

TEST_P(HttpLeaving, BeforeTheHandler) {
  TestServer server;
  for (const std::string& start :
       {std::string(), std::string("GET /ec"), get("/echo").substr(0, 20), post_of_ten("/echo"),
        post_of_ten("/echo") + "abc"}) {
    RawClient client(server.port());
    ASSERT_TRUE(client.connected());
    client.send(start);
    std::this_thread::sleep_for(2ms);
    leave(client);
    EXPECT_TRUE(server.becomes_empty()) << start;
  }
  EXPECT_EQ(server.counters.begun.value(), 0);
}

TEST_P(HttpLeaving, WhileTheHandlerWorks) {
  TestServer server;
  RawClient client(server.port());
  client.send(get("/wait"));
  ASSERT_TRUE(server.counters.begun.reaches(1));
  EXPECT_EQ(server.counters.gone.value(), 0);
  leave(client);
  EXPECT_TRUE(server.counters.refusals.reaches(1));
  EXPECT_EQ(server.counters.gone.value(), 1);
  EXPECT_TRUE(server.becomes_empty());
}

TEST_P(HttpLeaving, BehindAPipelinedRequest) {
  TestServer server;
  RawClient client(server.port());
  client.send(get("/wait") + get("/echo") + "GET /ha");
  ASSERT_TRUE(server.counters.begun.reaches(1));
  leave(client);
  EXPECT_TRUE(server.counters.gone.reaches(1));
  EXPECT_TRUE(server.becomes_empty());
  EXPECT_EQ(server.counters.begun.value(), 1);
}

TEST_P(HttpLeaving, InTheStream) {
  TestServer server;
  RawClient client(server.port());
  client.send(get("/endless"));
  ASSERT_TRUE(client.read_until("xxxx"));
  leave(client);
  EXPECT_TRUE(server.counters.refusals.reaches(1));
  EXPECT_EQ(server.counters.gone.value(), 1);
  EXPECT_TRUE(server.becomes_empty());
}

TEST_P(HttpLeaving, WithoutReadingTheStream) {
  TestServer server;
  RawClient client(server.port(), 4096);
  client.send(get("/endless"));
  ASSERT_TRUE(server.counters.begun.reaches(1));
  std::this_thread::sleep_for(50ms);  // the write waits for the socket by now
  leave(client);
  EXPECT_TRUE(server.counters.refusals.reaches(1));
  EXPECT_TRUE(server.becomes_empty());
}

INSTANTIATE_TEST_SUITE_P(All, HttpLeaving,
                         ::testing::Values(Leaving::kClose, Leaving::kReset, Leaving::kHalfClose));

TEST(HttpFaults, AClientThatDoesNotReadIsCut) {
  TestServer server({.write_timeout = 100ms, .min_bytes_per_second = 100 << 20});
  RawClient client(server.port(), 4096);
  client.send(get("/endless"));
  EXPECT_TRUE(server.counters.refusals.reaches(1));
  EXPECT_EQ(server.counters.gone.value(), 1);
  EXPECT_TRUE(server.becomes_empty());
}

TEST(HttpFaults, FloodsOfPipelinedRequestsStayInTheSocket) {
  TestServer server;
  RawClient client(server.port());
  client.send(get("/wait"));
  ASSERT_TRUE(server.counters.begun.reaches(1));
  std::thread flood([&] {
    const std::string block(1 << 20, 'x');
    while (client.send(block)) {
    }
  });
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(server.counters.ended.value(), 0);
  server.server->drain(0ms);
  flood.join();
  EXPECT_EQ(server.counters.gone.value(), 1);
}

TEST(HttpFaults, HoldsAThousandStreams) {
  constexpr int kNumStreams = 1000;
  TestServer server({.threads = 2});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < kNumStreams; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port(), 4096));
    ASSERT_TRUE(clients.back()->connected());
    ASSERT_TRUE(clients.back()->send(get(i % 2 == 0 ? "/wait" : "/stream")));
  }
  for (int i = 1; i < kNumStreams; i += 2) {
    EXPECT_TRUE(clients[static_cast<size_t>(i)]->read_until("\r\n0\r\n\r\n"));
  }
  ASSERT_TRUE(server.counters.begun.reaches(kNumStreams));
  EXPECT_EQ(server.server->num_connections(), kNumStreams);
  clients.clear();
  EXPECT_TRUE(server.counters.ended.reaches(kNumStreams));
  EXPECT_TRUE(server.becomes_empty());
  EXPECT_EQ(server.counters.gone.value(), kNumStreams / 2);
}

TEST(HttpFaults, RunsOutOfDescriptorsAndGoesOn) {
  TestServer server;
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<RawClient>(server.port()));
  for (auto& client : clients) client->send(get("/echo"));
  for (auto& client : clients) ASSERT_TRUE(client->read_until("[] "));
  // One descriptor more than are open: the client's own, and none for the server's side.
  const int next = ::dup(0);
  ::close(next);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(next) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  RawClient waiting(server.port());
  ASSERT_TRUE(waiting.connected());
  waiting.send(get("/echo"));
  std::this_thread::sleep_for(100ms);
  EXPECT_TRUE(waiting.received().empty());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(waiting.read_until("[] "));
}

TEST(HttpDrain, ClosesIdleConnectionsAndRefusesNewOnes) {
  TestServer server;
  RawClient idle(server.port());
  idle.send(get("/echo"));
  ASSERT_TRUE(idle.read_until("[] "));
  server.server->drain(10s);
  EXPECT_EQ(server.server->num_connections(), 0);
  idle.read_all();
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(RawClient(server.port()).connected());
}

TEST(HttpDrain, LetsAnExchangeFinish) {
  TestServer server;
  RawClient client(server.port());
  client.send(post_of_ten("/echo"));
  std::this_thread::sleep_for(20ms);
  auto drained = std::async(std::launch::async, [&] { server.server->drain(10s); });
  std::this_thread::sleep_for(20ms);
  client.send("0123456789");
  const std::string& text = client.read_all();
  EXPECT_TRUE(has(text, "POST /echo [] 0123456789"));
  EXPECT_TRUE(has(text, "\r\nConnection: close\r\n"));
  client.close();
  drained.get();
}

TEST(HttpDrain, CutsStreamsWhenTheGraceIsOver) {
  TestServer server;
  RawClient client(server.port());
  client.send(get("/endless"));
  ASSERT_TRUE(client.read_until("xxxx"));
  server.server->drain(20ms);
  EXPECT_EQ(server.counters.gone.value(), 1);
  EXPECT_EQ(server.counters.ended.value(), 1);
  client.read_all();
  EXPECT_TRUE(client.ended());
}

TEST(HttpDrain, DestroysHandlersThatNeverReturn) {
  auto held = std::make_shared<int>(0);
  const Handler stuck = [held](Exchange& exchange) -> awaitable<void> {
    const auto mine = held;
    boost::asio::steady_timer timer(exchange.executor(), std::chrono::hours(1));
    co_await timer.async_wait(boost::asio::use_awaitable);
  };
  auto server = HttpServer::start({}, stuck, test_head_check);
  ASSERT_TRUE(server);
  RawClient client((*server)->port());
  client.send(get("/"));
  for (int i = 0; i < 1000 && held.use_count() < 4; ++i) std::this_thread::sleep_for(1ms);
  const int64_t others = 2;  // here and in `stuck`
  EXPECT_GT(held.use_count(), others);
  *server = nullptr;
  EXPECT_EQ(held.use_count(), others);
}

}  // namespace
}  // namespace hachi::net
