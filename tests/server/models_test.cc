// Several models in one server: loaded when asked for, unloaded when idle, within a budget.
#include <future>
#include <new>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/fake_server.h"
#include "server/http_talk.h"

namespace hachi::server::testing {
namespace {

using namespace std::chrono_literals;

Reply ask_model(const FakeServer& server, std::string_view name, std::string_view more = "") {
  return ask(server.port(),
             post("/v1/completions",
                  fmt::format(R"({{"model":"{}","prompt":"x","max_tokens":2{}}})", name, more)));
}

TEST(Models, ThatFailToLoadAreTriedAgain) {
  for (const Code code : {Code::kIo, Code::kCorrupt, Code::kNotFound, Code::kInvalidArgument,
                          Code::kUnsupported, Code::kLimit, Code::kContextTooLong}) {
    std::atomic<bool> fails{true};
    FakeServer server({.before_load = [&](size_t) -> Result<void> {
      if (fails) return fail(code, "the file is gone");
      return {};
    }});
    const Reply failed = ask_model(server, "fake");
    EXPECT_EQ(failed.status, 500) << failed.body;
    EXPECT_EQ(failed.error_field("type"), "server_error");
    EXPECT_EQ(failed.error_field("code"), "model_load_failed");
    EXPECT_NE(failed.error_field("message").find("the file is gone"), std::string::npos);
    EXPECT_EQ(ask_model(server, "fake", R"(,"stream":true)").status, 500);
    fails = false;
    EXPECT_EQ(ask_model(server, "fake").status, 200);
    EXPECT_EQ(server.num_loads(), 3);
  }
}

TEST(Models, ThatRunOutOfMemoryAreTriedAgain) {
  std::atomic<bool> fails{true};
  FakeServer server({.before_load = [&](size_t) -> Result<void> {
    if (fails) throw std::bad_alloc();
    return {};
  }});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask_model(server, "fake").status, 500);
  fails = false;
  EXPECT_EQ(ask_model(server, "fake").status, 200);
}

TEST(Models, CopiesShareTheRequestsOfOne) {
  FakeServer server({.replicas = 3});
  for (int i = 0; i < 9; ++i) EXPECT_EQ(ask_model(server, "fake").status, 200);
  EXPECT_EQ(server.num_loads(), 1);
  const auto model = server.app().models().loaded().front();
  ASSERT_TRUE(model);
  ASSERT_EQ(model->engine.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(model->engine.stats_of(i).generated_tokens, 6) << i;
  EXPECT_EQ(model->engine.stats().generated_tokens, 18);
}

TEST(Models, LoadOnceForAllWhoAsk) {
  Gate loading;
  loading.close();
  FakeServer server({.before_load = [&](size_t) {
    loading.pass();
    return Result<void>();
  }});
  std::vector<std::future<Reply>> replies;
  for (int i = 0; i < 3; ++i) {
    replies.push_back(std::async(std::launch::async, [&] { return ask_model(server, "fake"); }));
  }
  ASSERT_TRUE(loading.holds());
  // What needs no model goes on meanwhile.
  EXPECT_EQ(ask(server.port(), http("GET", "/v1/models", "")).status, 200);
  EXPECT_EQ(ask(server.port(), http("GET", "/metrics", "")).status, 200);
  loading.open();
  for (auto& reply : replies) EXPECT_EQ(reply.get().status, 200);
  EXPECT_EQ(server.num_loads(), 1);
}

TEST(Models, ThatAreNotOffered) {
  FakeServer server({.offered = {{.name = "a"}, {.name = "b"}}});
  const Reply reply = ask_model(server, "c");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.error_field("code"), "model_not_found");
  EXPECT_EQ(reply.error_field("param"), "model");
  EXPECT_NE(reply.error_field("message").find("a, b"), std::string::npos);
  EXPECT_EQ(ask_model(server, "b").json().at("model").as_string(), "b");
  EXPECT_EQ(ask_model(server, "").json().at("model").as_string(), "a");
  EXPECT_EQ(server.num_loads(), 2);
}

TEST(Models, GoWhenIdle) {
  FakeServerOptions options{.offered = {{.name = "a"}, {.name = "b"}}};
  options.app.models.idle_time = 1s;
  FakeServer server(options);
  EXPECT_EQ(ask_model(server, "a").status, 200);
  server.gate.close();
  auto busy = std::async(std::launch::async, [&] { return ask_model(server, "b"); });
  ASSERT_TRUE(server.gate.holds());
  std::this_thread::sleep_for(1100ms);
  server.app().tidy();
  EXPECT_FALSE(server.app().models().loaded()[0]);
  EXPECT_TRUE(server.app().models().loaded()[1]);
  server.gate.open();
  EXPECT_EQ(busy.get().status, 200);
  EXPECT_EQ(ask_model(server, "a").status, 200);
  EXPECT_EQ(server.num_loads(), 3);
}

TEST(Models, StayUntilThen) {
  for (const std::chrono::seconds idle_time : {0s, 3600s}) {
    FakeServerOptions options;
    options.app.models.idle_time = idle_time;
    FakeServer server(options);
    EXPECT_EQ(ask_model(server, "").status, 200);
    server.app().tidy();
    EXPECT_TRUE(server.app().models().loaded()[0]);
  }
}

TEST(Models, ShareABudget) {
  FakeServerOptions options{
      .offered = {{.name = "a", .bytes = 6}, {.name = "b", .bytes = 3}, {.name = "c", .bytes = 6}}};
  options.app.models.memory_budget = 10;
  FakeServer server(options);
  const auto is_loaded = [&](size_t i) { return server.app().models().loaded()[i] != nullptr; };
  EXPECT_EQ(ask_model(server, "b").status, 200);
  server.gate.close();
  auto busy = std::async(std::launch::async, [&] { return ask_model(server, "a"); });
  ASSERT_TRUE(server.gate.holds());
  const Reply refused = ask_model(server, "c");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.error_field("code"), "model_overloaded");
  EXPECT_NE(refused.header("Retry-After"), "");
  EXPECT_TRUE(is_loaded(1)) << "b went and made no room";
  server.gate.open();
  EXPECT_EQ(busy.get().status, 200);
  ASSERT_TRUE(server.becomes_idle());
  EXPECT_TRUE(eventually([&] { return ask_model(server, "c").status == 200; }));
  EXPECT_FALSE(is_loaded(0));
  EXPECT_TRUE(is_loaded(2));
  EXPECT_EQ(ask_model(server, "a").status, 200);
  EXPECT_FALSE(is_loaded(2));
}

TEST(Models, LargerThanTheBudgetRunAlone) {
  FakeServerOptions options{.offered = {{.name = "a", .bytes = 60}, {.name = "b", .bytes = 3}}};
  options.app.models.memory_budget = 10;
  FakeServer server(options);
  EXPECT_EQ(ask_model(server, "a").status, 200);
  EXPECT_TRUE(eventually([&] { return ask_model(server, "b").status == 200; }));
  EXPECT_TRUE(eventually([&] { return ask_model(server, "a").status == 200; }));
}

TEST(Models, WithoutAChatTemplate) {
  FakeServer server({.chat_template = ""});
  const Reply refused = chat(server.port());
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.error_field("code"), "no_chat_template");
  EXPECT_EQ(ask_model(server, "").status, 200);
}

// Templates are programs of whoever made the model.
TEST(Models, WhoseTemplateMisbehaves) {
  for (const char* source :
       {"{{ raise_exception('no system messages') }}", "{{ nothing.of.the.kind }}",
        "{%- for a in range(100000) -%}{%- for b in range(100000) -%}{{ a }}{%- endfor -%}"
        "{%- endfor -%}",
        "{%- macro f() -%}{{ f() }}{%- endmacro -%}{{ f() }}"}) {
    FakeServer server({.chat_template = source});
    for (const char* fields : {"\"n\":1", R"("stream":true)"}) {
      const Reply refused = chat(server.port(), "Hello", fields);
      EXPECT_EQ(refused.status, 400) << source << refused.body;
      EXPECT_EQ(refused.error_field("param"), "messages");
    }
    EXPECT_EQ(ask_model(server, "").status, 200);
  }
}

}  // namespace
}  // namespace hachi::server::testing
