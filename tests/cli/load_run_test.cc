// Loads on servers that answer by a script.
#include "cli/load_run.h"

#include <atomic>
#include <csignal>
#include <map>
#include <mutex>
#include <set>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "cli/interrupt.h"
#include "cli/load_arrivals.h"
#include "cli/load_report.h"
#include "net/byte_server.h"
#include "net/http_server.h"

namespace hachi::cli {
namespace {

using namespace std::chrono_literals;
using boost::asio::awaitable;

constexpr uint64_t kMaxBody = 1 << 20;

std::string event(std::string_view json) { return fmt::format("data: {}\n\n", json); }

// Answers by the path under /v1; remembers the prompts. A chat has four pieces.
class ScriptedServer {
 public:
  ScriptedServer() {
    auto started = net::HttpServer::start(
        {}, [this](net::Exchange& exchange) { return answer(exchange); },
        [](const net::HttpRequest&) { return kMaxBody; });
    EXPECT_TRUE(started) << started.error().message;
    server_ = *std::move(started);
  }
  ScriptedServer(const ScriptedServer&) = delete;

  // `how` is a part of the path: plain, busy, once, dies, endless.
  LoadTarget target(const std::string& how, LoadRequestOptions options = {}) const {
    options.url = fmt::format("http://127.0.0.1:{}/{}", server_->port(), how);
    if (options.model.empty()) options.model = "m";
    auto target = LoadTarget::create(options);
    EXPECT_TRUE(target) << target.error().message;
    return *std::move(target);
  }

  std::multiset<std::string> bodies() const {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }
  int most_at_once() const { return most_at_once_; }

 private:
  awaitable<void> answer(net::Exchange& exchange) {
    const std::string path = exchange.request().path;
    {
      const std::lock_guard lock(mutex_);
      bodies_.insert(exchange.take_body());
      most_at_once_ = std::max(most_at_once_.load(), ++at_once_);
    }
    if (path.ends_with("/models")) {
      net::HttpResponse response;
      response.body = R"({"data":[{"id":"the-first"},{"id":"other"}]})";
      co_await exchange.send(std::move(response));
    } else if (path.starts_with("/busy") ||
               (path.starts_with("/once") && !refused_.exchange(true))) {
      net::HttpResponse response = net::error_response(429, "too many");
      response.headers.add("Retry-After", "0");
      co_await exchange.send(std::move(response));
    } else {
      co_await stream(exchange, path);
    }
    const std::lock_guard lock(mutex_);
    --at_once_;
  }

  static awaitable<void> stream(net::Exchange& exchange, std::string path) {
    net::Headers headers;
    headers.add("Content-Type", "text/event-stream");
    bool alive = co_await exchange.begin_stream(200, headers);
    const std::string piece = event(R"({"choices":[{"delta":{"content":"x"}}]})");
    for (int i = 0; alive && (i < 4 || path.starts_with("/endless")); ++i) {
      alive = co_await exchange.write(piece);
      boost::asio::steady_timer timer(exchange.executor(), 2ms);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    if (!alive || path.starts_with("/dies")) co_return;  // without an end: the connection breaks
    const std::string last =
        event(R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":4}})") +
        event("[DONE]");
    alive = co_await exchange.write(last);
    if (alive) co_await exchange.end_stream();
  }

  mutable std::mutex mutex_;
  std::multiset<std::string> bodies_;
  int at_once_ = 0;
  std::atomic<int> most_at_once_ = 0;
  std::atomic<bool> refused_ = false;
  std::unique_ptr<net::HttpServer> server_;  // ends first
};

LoadRecord run_load(const LoadTarget& target, const LoadShape& shape) {
  const auto prompts = PromptSource::synthetic({.tokens = 8});
  ProgressLine progress("test", true);
  LoadRun run(target, *prompts, shape, 0);
  auto record = run.run(progress);
  EXPECT_TRUE(record) << record.error().message;
  return *std::move(record);
}

TEST(LoadRun, UsersAskOneQuestionAfterTheOther) {
  const ScriptedServer server;
  const LoadRecord record =
      run_load(server.target("plain", {.max_tokens = 5}), {.users = 3, .requests = 12});
  const LoadSummary summary = LoadSummary::of(record, {});
  EXPECT_EQ(summary.completed, 12);
  EXPECT_EQ(summary.failed, 0);
  EXPECT_EQ(summary.total_output_tokens, 48);
  EXPECT_EQ(summary.total_input_tokens, 84);
  EXPECT_EQ(summary.chunks, 48);
  EXPECT_EQ(summary.itl_ms.count, 36);
  EXPECT_EQ(record.connects, 3);
  EXPECT_EQ(server.most_at_once(), 3);
  EXPECT_GT(record.seconds, 0);
  const std::multiset<std::string> bodies = server.bodies();
  EXPECT_EQ(std::set<std::string>(bodies.begin(), bodies.end()).size(), 12);
  for (const std::string& body : bodies) {
    EXPECT_NE(body.find(R"("max_tokens":5)"), std::string::npos) << body;
    EXPECT_EQ(body.find("ignore_eos"), std::string::npos) << body;
  }
}

TEST(LoadRun, RequestsComeAtARate) {
  const ScriptedServer server;
  const LoadRecord record =
      run_load(server.target("plain"), {.rate = 500, .requests = 40, .seed = 3});
  EXPECT_EQ(LoadSummary::of(record, {}).completed, 40);
  double last = 0;
  for (const LoadAnswer& answer : record.answers) last = std::max(last, answer.sent);
  Arrivals arrivals(500, 1, 3);
  double due = 0;
  for (int i = 0; i < 39; ++i) due += arrivals.next();
  EXPECT_GE(last, due - 1e-3);
}

TEST(LoadRun, EndsWithTheTime) {
  const ScriptedServer server;
  const LoadRecord record = run_load(server.target("plain"), {.users = 2, .seconds = 0.1});
  EXPECT_GT(record.answers.size(), 0);
  EXPECT_EQ(LoadSummary::of(record, {}).failed, 0);
  EXPECT_GE(record.seconds, 0.1);
}

TEST(LoadRun, CountsRefusals) {
  const ScriptedServer server;
  const LoadRecord record = run_load(server.target("busy"), {.users = 2, .requests = 4});
  const LoadSummary summary = LoadSummary::of(record, {});
  EXPECT_EQ(summary.completed, 0);
  EXPECT_EQ(summary.failures.at({429, "too many"}), 4);
  EXPECT_EQ(summary.retries, 0);
  EXPECT_TRUE(record.stopped.empty());
}

TEST(LoadRun, SendsAgainWhenAskedTo) {
  const ScriptedServer server;
  const LoadRecord record =
      run_load(server.target("once", {.retry = true}), {.users = 1, .requests = 2});
  const LoadSummary summary = LoadSummary::of(record, {});
  EXPECT_EQ(summary.completed, 2);
  EXPECT_EQ(summary.retries, 1);
}

TEST(LoadRun, CountsStreamsThatBreak) {
  const ScriptedServer server;
  const LoadRecord record = run_load(server.target("dies"), {.users = 2, .requests = 4});
  const LoadSummary summary = LoadSummary::of(record, {});
  EXPECT_EQ(summary.failed, 4);
  ASSERT_EQ(summary.failures.size(), 1);
  EXPECT_EQ(summary.failures.begin()->first.first, 200);
}

TEST(LoadRun, StopsWhenTheServerIsGone) {
  LoadRequestOptions options;
  {
    const net::ByteServer taken({});
    options.url = fmt::format("http://127.0.0.1:{}", taken.port());
  }
  options.model = "m";
  const auto target = LoadTarget::create(options);
  ASSERT_TRUE(target) << target.error().message;
  const LoadRecord record = run_load(*target, {.users = 16, .requests = 100000});
  EXPECT_NE(record.stopped.find("the server is gone"), std::string::npos) << record.stopped;
  EXPECT_LT(record.answers.size(), 64);
}

TEST(LoadRun, MeetsMalformedStreams) {
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
  const std::map<std::string, std::string> reasons = {
      {head + "data: {\"choices\"\n\n", "not JSON"},
      {head + "data: {\"error\":{\"message\":\"out of pages\"}}\n\n", "out of pages"},
      {head + "data: {\"choices\":[{\"text\":\"a\"}]}\n\n", "ended after 1 pieces"},
      {head, "ended after 0 pieces"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndata", ""},
      {"garbage\r\n\r\n", ""},
      {"", ""}};
  for (const auto& [bytes, reason] : reasons) {
    const net::ByteServer server({bytes});
    LoadRequestOptions options;
    options.url = fmt::format("http://127.0.0.1:{}/v1", server.port());
    options.model = "m";
    options.endpoint = LoadEndpoint::kCompletions;
    const auto target = LoadTarget::create(options);
    const LoadRecord record = run_load(*target, {.users = 1, .requests = 1});
    ASSERT_EQ(record.answers.size(), 1) << bytes;
    EXPECT_EQ(record.answers[0].end, LoadAnswer::End::kFailed) << bytes;
    EXPECT_NE(record.answers[0].failure.find(reason), std::string::npos)
        << bytes << record.answers[0].failure;
    EXPECT_FALSE(record.answers[0].failure.empty()) << bytes;
  }
}

// It answers once over each connection, and closes it without having said so.
TEST(LoadRun, ConnectsAnewWhenAKeptConnectionWasClosed) {
  const std::string body = "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: [DONE]\n\n";
  const std::string answer = fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
  const net::ByteServer server({answer, answer, answer});
  LoadRequestOptions options;
  options.url = fmt::format("http://127.0.0.1:{}/v1", server.port());
  options.model = "m";
  options.endpoint = LoadEndpoint::kCompletions;
  const auto target = LoadTarget::create(options);
  const LoadRecord record = run_load(*target, {.users = 1, .requests = 3});
  EXPECT_EQ(LoadSummary::of(record, {}).completed, 3);
  EXPECT_EQ(record.connects, 3);
}

TEST(LoadRun, KeepsWhatItHasWhenInterrupted) {
  const ScriptedServer server;
  const InterruptGuard guard;
  std::thread interrupter([] {
    std::this_thread::sleep_for(100ms);
    std::raise(SIGINT);
  });
  const LoadRecord record = run_load(server.target("endless"), {.users = 4, .requests = 100});
  interrupter.join();
  EXPECT_TRUE(record.interrupted);
  EXPECT_EQ(record.answers.size(), 4);
  const LoadSummary summary = LoadSummary::of(record, {});
  EXPECT_EQ(summary.completed, 0);
  EXPECT_EQ(summary.failed, 0);
}

TEST(LoadTarget, AsksForTheFirstModel) {
  const ScriptedServer server;
  LoadTarget named = server.target("v1");
  ASSERT_TRUE(named.choose_model());
  EXPECT_EQ(named.options().model, "m");

  LoadRequestOptions options = named.options();
  options.model = "";
  auto unnamed = LoadTarget::create(options);
  ASSERT_TRUE(unnamed);
  const auto chosen = unnamed->choose_model();
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_EQ(unnamed->options().model, "the-first");
  const net::ClientRequest request = unnamed->request({"hi \"you\"", {}});
  EXPECT_NE(request.body.find(R"("model":"the-first")"), std::string::npos) << request.body;
  EXPECT_NE(request.body.find(R"("content":"hi \"you\"")"), std::string::npos) << request.body;
}

TEST(LoadTarget, ExtraMembersWin) {
  LoadRequestOptions options;
  options.model = "m";
  options.endpoint = LoadEndpoint::kCompletions;
  options.extra_body = R"({"temperature": 0.5, "top_k": 3})";
  options.api_key = "secret";
  const auto target = LoadTarget::create(options);
  ASSERT_TRUE(target) << target.error().message;
  const net::ClientRequest request = target->request({"p", {}});
  EXPECT_EQ(request.target, "/v1/completions");
  EXPECT_EQ(request.body, R"({"model":"m","max_tokens":128,"temperature":5E-1,"stream":true,)"
                          R"("stream_options":{"include_usage":true},"top_k":3,"prompt":"p"})");
  EXPECT_EQ(request.headers.find("authorization"), "Bearer secret");

  options.extra_body = "[1]";
  EXPECT_FALSE(LoadTarget::create(options));
}

TEST(LoadReport, NamesFiguresAsOthersDo) {
  const ScriptedServer server;
  LoadReport report;
  report.request.api_key = "secret";
  const LoadShape shape = {.users = 2, .requests = 4};
  report.levels.push_back({shape, run_load(server.target("plain"), shape)});
  const boost::json::object json = report_json(report);
  const auto& level = json.at("levels").as_array().at(0).as_object();
  for (const char* name :
       {"max_concurrency", "duration", "completed", "failed", "total_input_tokens",
        "total_output_tokens", "request_throughput", "output_throughput", "total_token_throughput",
        "mean_ttft_ms", "median_tpot_ms", "p99_itl_ms", "std_e2el_ms"}) {
    EXPECT_TRUE(level.contains(name)) << name;
  }
  EXPECT_EQ(level.at("completed").as_int64(), 4);
  EXPECT_EQ(boost::json::serialize(json).find("secret"), std::string::npos);
}

}  // namespace
}  // namespace hachi::cli
