// Clients that leave at every stage of a request: the engine stops within one step, and every
// request ends once.
#include <atomic>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"
#include "server/fake_server.h"
#include "server/http_talk.h"

namespace hachi::server::testing {
namespace {

enum class Leaving { kClose, kReset, kHalfClose };

struct Shape {
  const char* name;
  const char* fields;
  int64_t answers;
};

constexpr Shape kShapes[] = {{"whole", R"("temperature":0)", 1},
                             {"stream", R"("stream":true)", 1},
                             {"four", R"("n":4)", 4},
                             {"four_streams", R"("n":4,"stream":true,"logprobs":true)", 4}};

class LeavingServer : public ::testing::TestWithParam<std::tuple<Leaving, Shape>> {
 protected:
  static void leave(RawClient& client) {
    const Leaving how = std::get<0>(GetParam());
    if (how == Leaving::kClose) client.close();
    if (how == Leaving::kReset) client.reset();
    if (how == Leaving::kHalfClose) client.shutdown_send();
  }
  static const Shape& shape() { return std::get<1>(GetParam()); }
  static std::string request(std::string_view more = "") {
    const std::string fields = fmt::format("{}{}{}", shape().fields, more.empty() ? "" : ",", more);
    return post("/v1/chat/completions", chat_body("Hello", fields));
  }
};

TEST_P(LeavingServer, InHeadAndBody) {
  FakeServer server;
  const std::string whole = request();
  for (const size_t sent : {size_t{3}, whole.find("\r\n\r\n") + 2, whole.size() - 9}) {
    RawClient client(server.port());
    client.send(whole.substr(0, sent));
    leave(client);
  }
  EXPECT_EQ(chat(server.port(), "Still there?", R"("max_tokens":2)").status, 200);
  EXPECT_TRUE(eventually([&] { return server.num_logged() == 1; }));
}

TEST_P(LeavingServer, WhileTheModelLoads) {
  Gate loading;
  loading.close();
  FakeServer server({.before_load = [&](size_t) {
    loading.pass();
    return Result<void>();
  }});
  RawClient client(server.port());
  client.send(request());
  ASSERT_TRUE(loading.holds());
  leave(client);
  loading.open();
  EXPECT_TRUE(eventually([&] { return server.num_logged() == 1; }));
  EXPECT_TRUE(server.becomes_idle());
}

TEST_P(LeavingServer, WhileItWaitsInTheQueue) {
  FakeServerOptions options;
  options.app.models.engine.scheduler.max_sequences = 1;
  FakeServer server(options);
  server.gate.close();
  RawClient first(server.port());
  first.send(
      post("/v1/chat/completions", chat_body("First", R"("max_tokens":2,"ignore_eos":true)")));
  ASSERT_TRUE(server.gate.holds());
  RawClient second(server.port());
  second.send(request());
  ASSERT_TRUE(eventually([&] { return server.num_open() == 1 + shape().answers; }));
  leave(second);
  ASSERT_TRUE(eventually([&] { return server.num_logged() == 1; }));
  server.gate.let(1);
  EXPECT_TRUE(eventually([&] { return server.num_open() == 1; }));
  server.gate.open();
  EXPECT_TRUE(first.read_until("\"finish_reason\":\"length\""));
}

TEST_P(LeavingServer, InThePrefillOfALongPrompt) {
  FakeServerOptions options;
  options.app.models.engine.scheduler.step_tokens = 16;
  FakeServer server(options);
  server.gate.close();
  RawClient client(server.port());
  client.send(post("/v1/chat/completions", chat_body(std::string(500, 'x'), shape().fields)));
  ASSERT_TRUE(server.gate.holds());
  server.gate.let(3);
  ASSERT_TRUE(server.gate.holds());
  leave(client);
  ASSERT_TRUE(eventually([&] { return server.num_logged() == 1; }));
  server.gate.let(1);
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_EQ(server.model()->engine.stats().generated_tokens, 0);
}

// After each number of steps from the first to beyond the last.
TEST_P(LeavingServer, AfterEachStep) {
  FakeServer server;
  server.say("xyzw");
  const auto model = server.model();
  int64_t num_aborted = 0;
  int64_t num_asked = 0;
  // The last is beyond all, also if the engine is slow to hear of the last of four answers.
  for (const int steps : {0, 1, 2, 3, 4, 5, 6, 7, 40}) {
    ++num_asked;
    server.gate.close();
    RawClient client(server.port());
    client.send(request(R"("ignore_eos":false)"));
    ASSERT_TRUE(server.gate.holds());
    server.gate.let(steps);
    ASSERT_TRUE(eventually([&] { return server.num_open() == 0 || server.gate.holds_now(); }));
    num_aborted += server.num_open() > 0;
    leave(client);
    ASSERT_TRUE(eventually([&] { return server.num_logged() == num_asked; })) << steps;
    // The step that is held, and no other.
    const int64_t before = model->engine.stats().steps;
    server.gate.let(1);
    ASSERT_TRUE(server.becomes_idle()) << steps;
    EXPECT_LE(model->engine.stats().steps, before + 1);
  }
  EXPECT_GT(num_aborted, 3);
  EXPECT_LT(num_aborted, 9);
  const ModelMetrics& metrics = model->metrics;
  int64_t num_ended = 0;
  for (const auto& outcome : metrics.outcomes) num_ended += outcome;
  EXPECT_EQ(num_ended, 9 * shape().answers);
}

TEST(Leaving, OnEachEndpoint) {
  FakeServer server;
  server.model();
  server.say(std::string(300, 'x'));
  int64_t num_requests = 0;
  for (const auto& [path, body] : {
           std::pair{"/v1/completions",
                     R"({"model":"","prompt":"<|im_start|>assistant\n","n":2,"max_tokens":300)"},
           {"/v1/messages",
            R"({"model":"","max_tokens":300,"messages":[{"role":"user","content":"a"}])"},
           {"/v1/responses", R"({"model":"","input":"a","max_output_tokens":300)"},
       }) {
    for (const char* end : {"}", R"(,"stream":true})"}) {
      server.gate.close();
      RawClient client(server.port());
      client.send(post(path, std::string(body) + end));
      ASSERT_TRUE(server.gate.holds()) << path;
      server.gate.let(3);
      ASSERT_TRUE(server.gate.holds());
      client.reset();
      ++num_requests;
      ASSERT_TRUE(eventually([&] { return server.num_logged() == num_requests; })) << path;
      server.gate.let(1);
      ASSERT_TRUE(server.becomes_idle()) << path << end;
    }
  }
}

// Some read to the end, some leave somewhere, all at once, with too few pages for all.
TEST(Leaving, OfManyAtOnce) {
  FakeServerOptions options{.model = {.num_pages = 100, .max_tokens = 256}};
  options.app.http.threads = 2;
  FakeServer server(options);
  std::atomic<int64_t> num_whole{0}, num_sent{0};
  const auto work = [&](uint64_t seed) {
    for (uint64_t i = 0; i < 30; ++i) {
      const auto below = [&](double count, uint32_t draw) {
        return static_cast<int>(count * uniform(seed, i, draw));
      };
      RawClient client(server.port());
      const std::string fields =
          fmt::format(R"("n":{},"stream":{},"max_tokens":{},"ignore_eos":true,"logprobs":true)",
                      1 + below(3, 0), below(2, 1) == 0, 1 + below(60, 2));
      client.send(post("/v1/chat/completions",
                       chat_body(std::string(static_cast<size_t>(below(200, 3)), 'q'), fields),
                       "Connection: close\r\n"));
      ++num_sent;
      if (below(2, 4) == 0) {
        const Reply reply = parse_reply(client.read_all());
        num_whole += reply.status == 200 && reply.is_whole;
        continue;
      }
      client.read_within(std::chrono::milliseconds(below(20, 5)));
      if (below(2, 6) == 0) client.reset();
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 8; ++seed) threads.emplace_back(work, seed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_GT(num_whole, 80);
  EXPECT_LE(server.num_logged(), num_sent);
}

std::string name_of(const ::testing::TestParamInfo<LeavingServer::ParamType>& tested) {
  constexpr const char* kNames[] = {"close", "reset", "half_close"};
  return fmt::format("{}_{}", kNames[static_cast<int>(std::get<0>(tested.param))],
                     std::get<1>(tested.param).name);
}

INSTANTIATE_TEST_SUITE_P(Ways, LeavingServer,
                         ::testing::Combine(::testing::Values(Leaving::kClose, Leaving::kReset,
                                                              Leaving::kHalfClose),
                                            ::testing::ValuesIn(kShapes)),
                         name_of);

}  // namespace
}  // namespace hachi::server::testing
