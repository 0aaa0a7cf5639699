// More than the server has room for: pages, places in the queue, time, connections, slow readers.
#include <future>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/fake_server.h"
#include "server/http_talk.h"

namespace hachi::server::testing {
namespace {

using namespace std::chrono_literals;

std::string content_of(const Reply& reply) {
  EXPECT_EQ(reply.status, 200) << reply.body;
  if (reply.status != 200) return "";
  const auto value = reply.json();
  const auto& message = value.at("choices").at(0).at("message").as_object();
  std::string text(message.at("content").as_string());
  if (const auto* thoughts = message.if_contains("reasoning_content")) {
    text = std::string(thoughts->as_string()) + "|" + text;
  }
  return text;
}

// 64 answers that need eight times the pages that there are are what each is alone.
TEST(Pressure, AnswersThatDoNotFitTogether) {
  FakeServerOptions options{.model = {.num_pages = 64, .max_tokens = 256}};
  options.app.models.engine.scheduler.max_sequences = 64;
  FakeServer server(options);
  constexpr const char* kFields = R"("max_tokens":60,"ignore_eos":true,"seed":7,"temperature":1)";
  std::vector<std::string> alone;
  for (int i = 0; i < 64; ++i) {
    alone.push_back(content_of(chat(server.port(), fmt::format("number {}", i), kFields)));
  }
  server.gate.close();
  std::vector<std::future<std::string>> together;
  for (int i = 0; i < 64; ++i) {
    together.push_back(std::async(std::launch::async, [&server, i] {
      const Reply reply = chat(server.port(), fmt::format("number {}", i),
                               std::string(kFields) + (i % 2 == 0 ? "" : R"(,"stream":true)"));
      if (i % 2 == 0) return content_of(reply);
      const StreamedChat stream = read_stream(reply);
      EXPECT_TRUE(stream.is_done);
      if (stream.choices.size() != 1) return std::string("?");
      const StreamedChoice& choice = stream.choices[0];
      return (choice.reasoning.empty() ? "" : choice.reasoning + "|") + choice.content;
    }));
  }
  ASSERT_TRUE(eventually([&] { return server.num_open() == 64; }));
  server.gate.open();
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(together[i].get(), alone[i]) << i;
  const auto model = server.model();
  EXPECT_GT(model->engine.stats().preemptions, 0);
  int64_t num_ended = 0;
  for (const auto& outcome : model->metrics.outcomes) num_ended += outcome;
  EXPECT_EQ(num_ended, 128);
}

// One that reads nothing and one that reads a byte now and then, beside others.
TEST(Pressure, SlowReaders) {
  FakeServerOptions options{.model = {.num_pages = 8192, .max_tokens = 256}};
  options.app.http.write_timeout = 300ms;
  options.app.http.min_bytes_per_second = 1 << 20;
  FakeServer server(options);
  const std::string endless = post(
      "/v1/chat/completions",
      chat_body("Go on", R"("stream":true,"max_tokens":20000,"ignore_eos":true,"logprobs":true)"));
  RawClient deaf(server.port(), 4096), slow(server.port(), 4096);
  deaf.send(endless);
  slow.send(endless);
  ASSERT_TRUE(eventually([&] { return server.num_open() == 2; }));
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop && !slow.ended()) {
      slow.read_bytes(1);
      std::this_thread::sleep_for(10ms);
    }
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(chat(server.port(), fmt::format("{}", i), R"("max_tokens":30)").status, 200);
  }
  EXPECT_TRUE(server.becomes_idle());
  stop = true;
  reader.join();
  const std::string log = server.log_text();
  size_t num_gone = 0;
  for (size_t at = 0; (at = log.find("client_gone", at)) != log.npos; ++at) ++num_gone;
  EXPECT_EQ(num_gone, 2u) << log;
}

TEST(Pressure, AThousandStreams) {
  FakeServerOptions options{.model = {.num_pages = 32768, .max_tokens = 1024, .max_rows = 64}};
  options.app.models.engine.scheduler.max_sequences = 1024;
  options.app.models.engine.scheduler.step_tokens = 1024;
  options.app.http.threads = 2;
  FakeServer server(options);
  server.say("one two three four five six seven eight nine ten");
  server.gate.close();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(clients.back()->connected());
    const std::string body = chat_body(fmt::format("number {}", i), R"("stream":true)");
    ASSERT_TRUE(clients.back()->send(post("/v1/chat/completions", body, "Connection: close\r\n")));
  }
  ASSERT_TRUE(eventually([&] { return server.num_open() == 1000; }));
  server.gate.open();
  for (const auto& client : clients) {
    const StreamedChat stream = read_stream(parse_reply(client->read_all()));
    ASSERT_EQ(stream.choices.size(), 1u);
    EXPECT_EQ(stream.choices[0].content, "one two three four five six seven eight nine ten");
    EXPECT_EQ(stream.choices[0].finish, "stop");
    EXPECT_TRUE(stream.is_done);
  }
}

TEST(Pressure, AFullQueue) {
  FakeServerOptions options;
  options.app.models.engine.scheduler.max_sequences = 1;
  options.app.models.engine.max_waiting = 2;
  FakeServer server(options);
  server.gate.close();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->send(post("/v1/chat/completions", chat_body("Hello", R"("max_tokens":2)"),
                              "Connection: close\r\n"));
    ASSERT_TRUE(eventually([&] { return server.num_open() == i + 1; }));
  }
  for (const char* fields : {R"("n":1)", R"("stream":true)", R"("n":3)"}) {
    const Reply refused = chat(server.port(), "One more", fields);
    EXPECT_EQ(refused.status, 429);
    EXPECT_NE(refused.header("Retry-After"), "");
    EXPECT_EQ(refused.error_field("type"), "rate_limit_error");
    EXPECT_EQ(refused.error_field("code"), "rate_limit_exceeded");
  }
  const Reply anthropic =
      ask(server.port(),
          post("/v1/messages",
               R"({"model":"","max_tokens":3,"messages":[{"role":"user","content":"x"}]})"));
  EXPECT_EQ(anthropic.status, 429);
  EXPECT_EQ(anthropic.json().at("type").as_string(), "error");
  EXPECT_EQ(server.num_open(), 3);
  EXPECT_NE(ask(server.port(), http("GET", "/metrics", "")).body.find("queue_full"),
            std::string::npos);
  server.gate.open();
  for (const auto& client : clients) EXPECT_EQ(parse_reply(client->read_all()).status, 200);
}

// Answers of which the last do not find a place take those before along.
TEST(Pressure, ARequestThatFitsTheQueueInPart) {
  FakeServerOptions options;
  options.app.models.engine.scheduler.max_sequences = 2;
  options.app.models.engine.max_waiting = 4;
  FakeServer server(options);
  EXPECT_EQ(chat(server.port(), "Many", R"("n":128,"max_tokens":100)").status, 429);
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_EQ(chat(server.port(), "Few", R"("n":6,"max_tokens":3)").status, 200);
}

TEST(Pressure, TimeIsOver) {
  FakeServerOptions options{.model = {.num_pages = 8192, .max_tokens = 256, .step_time = 2ms}};
  options.app.request_timeout = 1s;
  options.app.models.engine.scheduler.max_sequences = 2;
  FakeServer server(options);
  constexpr const char* kFields = R"("max_tokens":20000,"ignore_eos":true)";
  auto whole =
      std::async(std::launch::async, [&] { return chat(server.port(), "whole", kFields); });
  auto stream = std::async(std::launch::async, [&] {
    return chat(server.port(), "stream", std::string(kFields) + R"(,"stream":true)");
  });
  ASSERT_TRUE(eventually([&] { return server.num_open() == 2; }));
  // It waits for its place until the time is over.
  auto waiting =
      std::async(std::launch::async, [&] { return chat(server.port(), "waiting", kFields); });
  for (auto* one : {&whole, &waiting}) {
    const Reply reply = one->get();
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.json().at("choices").at(0).at("finish_reason").as_string(), "length");
  }
  const StreamedChat streamed = read_stream(stream.get());
  ASSERT_EQ(streamed.choices.size(), 1u);
  EXPECT_EQ(streamed.choices[0].finish, "length");
  EXPECT_TRUE(streamed.is_done);
}

TEST(Drain, LetsAnswersFinish) {
  FakeServer server({.model = {.num_pages = 1024, .max_tokens = 256, .step_time = 2ms}});
  server.say("that is all");
  server.gate.close();
  RawClient stream(server.port()), whole(server.port()), idle(server.port());
  stream.send(post("/v1/chat/completions", chat_body("a", R"("stream":true)")));
  whole.send(post("/v1/chat/completions", chat_body("b")));
  ASSERT_TRUE(eventually([&] { return server.num_open() == 2; }));
  ASSERT_TRUE(stream.read_until("\r\n\r\n"));
  const uint16_t port = server.port();
  std::thread stopper([&] { server.stop(10s); });
  EXPECT_TRUE(eventually([&] { return !RawClient(port).connected(); }));
  server.gate.open();
  const StreamedChat streamed = read_stream(parse_reply(stream.read_all()));
  EXPECT_TRUE(streamed.is_done);
  EXPECT_EQ(streamed.choices.at(0).content, "that is all");
  EXPECT_EQ(content_of(parse_reply(whole.read_all())), "that is all");
  idle.read_all();
  EXPECT_EQ(idle.received(), "");
  for (RawClient* client : {&stream, &whole, &idle}) client->close();
  stopper.join();
}

TEST(Drain, CutsWhatIsNotDoneInTime) {
  FakeServer server({.model = {.num_pages = 8192, .max_tokens = 256, .step_time = 2ms}});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (const char* more : {R"("stream":true)", R"("n":3,"stream":true)", R"("n":1)"}) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    const std::string fields = std::string(R"("max_tokens":9000,"ignore_eos":true,)") + more;
    clients.back()->send(post("/v1/chat/completions", chat_body("Go on", fields)));
  }
  ASSERT_TRUE(eventually([&] { return server.num_open() == 5; }));
  server.stop(0s);
  for (const auto& client : clients) {
    client->read_all();
    EXPECT_TRUE(client->ended());
    EXPECT_EQ(client->received().find("[DONE]"), std::string::npos);
    EXPECT_EQ(client->received().find("\"finish_reason\":\""), std::string::npos);
  }
}

}  // namespace
}  // namespace hachi::server::testing
