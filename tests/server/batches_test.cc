// Batches from the upload of their input to their results.
#include <future>
#include <string>

#include <gtest/gtest.h>

#include "server/batch_run.h"
#include "server/batch_talk.h"

namespace hachi::server::testing {
namespace {

struct Endpoint {
  std::string_view url;
  std::string_view object;  // of its answers
  std::string_view body;
};

constexpr Endpoint kEndpoints[] = {
    {"/v1/chat/completions", "chat.completion",
     R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":3,"temperature":0})"},
    {"/v1/completions", "text_completion", R"({"prompt":"the","max_tokens":3,"logprobs":1})"},
    {"/v1/responses", "response", R"({"input":"Hi","max_output_tokens":3})"},
    {"/v1/embeddings", "list", R"({"input":["the","ing"]})"},
};

std::string line_of(const Endpoint& endpoint, int number) {
  std::string body(endpoint.body);
  body.insert(1, R"("model":"fake",)");
  return fmt::format(R"({{"custom_id":"line-{}","method":"POST","url":"{}","body":{}}})"
                     "\n",
                     number, endpoint.url, body);
}

TEST(Batches, RunLinesOfEachEndpoint) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  constexpr int kLines = 50;
  std::vector<std::string> ids;
  for (const Endpoint& endpoint : kEndpoints) {
    std::string text;
    for (int i = 0; i < kLines; ++i) text += line_of(endpoint, i);
    text.pop_back();  // a last line without its end is one too
    ids.push_back(create_batch(server.port(), text, endpoint.url));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    const Reply batch = wait_for_end(server.port(), ids[i]);
    EXPECT_EQ(text_of(batch, "status"), "completed") << batch.body;
    EXPECT_EQ(count_of(batch, "total"), kLines);
    EXPECT_EQ(count_of(batch, "completed"), kLines);
    EXPECT_EQ(count_of(batch, "failed"), 0);
    EXPECT_EQ(text_of(batch, "error_file_id"), "");
    EXPECT_EQ(batch.json().at("metadata").at("k").as_string(), "v");
    for (const char* time : {"created_at", "in_progress_at", "finalizing_at", "completed_at"}) {
      EXPECT_TRUE(batch.json().at(time).is_int64()) << time;
    }
    const Results output = output_of(server.port(), batch);
    EXPECT_EQ(output.size(), static_cast<size_t>(kLines));
    for (const auto& [id, line] : output) {
      const auto& response = line.at("response").as_object();
      EXPECT_EQ(response.at("status_code").as_int64(), 200);
      EXPECT_TRUE(response.at("request_id").as_string().starts_with("req_"));
      EXPECT_EQ(response.at("body").at("object").as_string(), kEndpoints[i].object);
      EXPECT_TRUE(line.at("error").is_null());
    }
  }
}

TEST(Batches, AnswerAsLiveRequestsDo) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  server.say("Well, the end");
  const Reply batch =
      wait_for_end(server.port(), create_batch(server.port(), chat_lines(3, R"("seed":1)")));
  const Reply live = chat(server.port(), "Number 0", R"("seed":1)");
  const Results output = output_of(server.port(), batch);
  ASSERT_EQ(output.size(), 3u);
  EXPECT_EQ(output.begin()->second.at("response").at("body").at("choices"),
            live.json().at("choices"));
}

TEST(Batches, PutErrorsOfLinesIntoTheErrorFile) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  std::string text = chat_line(0) + chat_line(1, R"("stream":true)") +
                     chat_line(2, R"("temperature":99)") + "\r\n" +
                     chat_line(3, R"("max_tokens":100000000)") + chat_line(4);
  std::string other = chat_line(5);
  other.replace(other.find(R"("model":"")"), 10, R"("model":"x")");
  const Reply batch = wait_for_end(server.port(), create_batch(server.port(), text + other));
  EXPECT_EQ(text_of(batch, "status"), "completed");
  EXPECT_EQ(count_of(batch, "total"), 6);
  EXPECT_EQ(output_of(server.port(), batch).size(),
            static_cast<size_t>(count_of(batch, "completed")));
  const Results errors = errors_of(server.port(), batch);
  EXPECT_EQ(errors.size(), static_cast<size_t>(count_of(batch, "failed")));
  const auto param = [&](const char* id) {
    const auto& response = errors.at(id).at("response");
    return fmt::format("{} {}", response.at("status_code").as_int64(),
                       std::string(response.at("body").at("error").at("param").as_string()));
  };
  EXPECT_EQ(param("line-1"), "400 stream");
  EXPECT_EQ(param("line-2"), "400 temperature");
  EXPECT_EQ(param("line-5"), "404 model");
  expect_each_once(server.port(), batch, 6);
}

TEST(Batches, FailBeforeTheyRunIfALineIsWrong) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  const std::string text =
      chat_line(0) + "{\n" + chat_line(0) + line_of(kEndpoints[1], 3) +
      R"({"custom_id":"a","method":"GET","url":"/v1/chat/completions","body":{}})" + "\n[]\n" +
      R"({"method":"POST","url":"/v1/chat/completions","body":{}})";
  const Reply batch = wait_for_end(server.port(), create_batch(server.port(), text));
  EXPECT_EQ(text_of(batch, "status"), "failed");
  EXPECT_TRUE(batch.json().at("failed_at").is_int64());
  const auto json = batch.json();
  const auto& errors = json.at("errors").at("data").as_array();
  std::vector<std::string> found;
  for (const auto& error : errors) {
    found.push_back(fmt::format("{} {}", error.at("line").as_int64(),
                                std::string(error.at("code").as_string())));
  }
  EXPECT_EQ(found, (std::vector<std::string>{
                       "2 invalid_json_line", "3 duplicate_custom_id", "4 mismatched_endpoint",
                       "5 invalid_value", "6 invalid_json_line", "7 missing_required_parameter"}))
      << batch.body;
  EXPECT_EQ(text_of(batch, "output_file_id"), "");
  EXPECT_EQ(server.num_loads(), 0);

  const Reply empty = wait_for_end(server.port(), create_batch(server.port(), "\n \r\n"));
  EXPECT_EQ(text_of(empty, "status"), "failed");
  EXPECT_NE(empty.body.find("empty_file"), std::string::npos);
}

TEST(Batches, HaveSoManyLinesAtMost) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  std::string text(static_cast<size_t>(kMaxBatchLines), '\n');
  text += chat_line(0);
  const Reply batch = wait_for_end(server.port(), create_batch(server.port(), text));
  EXPECT_EQ(text_of(batch, "status"), "failed");
  EXPECT_NE(batch.body.find("too_many_lines"), std::string::npos) << batch.body;
}

TEST(Batches, RefuseLinesThatAreTooLong) {
  const TempFolder folder;
  FakeServerOptions options = with_data(folder.path());
  options.app.max_body_bytes = 1000;
  FakeServer server(options);
  const std::string text = chat_line(0) + std::string(1001, ' ') + "\n" + chat_line(1);
  const Reply batch = wait_for_end(server.port(), create_batch(server.port(), text));
  EXPECT_EQ(text_of(batch, "status"), "failed");
  EXPECT_NE(batch.body.find("line_too_long"), std::string::npos) << batch.body;
}

TEST(Batches, RefuseWhatTheyCannotRun) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  const std::string file = upload(server.port(), chat_lines(1));
  EXPECT_EQ(post_batch(server.port(), file, "/v1/messages").error_field("param"), "endpoint");
  for (const char* id : {"", "../../x", "file-00000000000000000000000000000000"}) {
    const Reply refused = post_batch(server.port(), id, "/v1/completions");
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(refused.error_field("param"), "input_file_id");
  }
  const Reply batch = wait_for_end(server.port(), create_batch(server.port(), chat_lines(1)));
  const std::string output = text_of(batch, "output_file_id");
  EXPECT_EQ(post_batch(server.port(), output, "/v1/completions").status, 400);
}

TEST(Batches, AreCancelledInTheMiddle) {
  const TempFolder folder;
  FakeServerOptions options = with_data(folder.path());
  options.app.models.engine.scheduler.max_sequences = 4;
  options.model.step_time = std::chrono::milliseconds(2);
  FakeServer server(options);
  constexpr int kLines = 100;
  const std::string id = create_batch(server.port(), chat_lines(kLines));
  ASSERT_TRUE(wait_for_results(server.port(), id, 5));
  const std::string path = fmt::format("/v1/batches/{}/cancel", id);
  const Reply cancelling = ask(server.port(), post(path, ""));
  EXPECT_EQ(cancelling.status, 200);
  EXPECT_EQ(text_of(cancelling, "status"), "cancelling");
  const Reply batch = wait_for_end(server.port(), id);
  EXPECT_EQ(text_of(batch, "status"), "cancelled");
  EXPECT_GE(count_of(batch, "completed"), 5);
  EXPECT_GT(count_of(batch, "failed"), 0);
  expect_each_once(server.port(), batch, kLines);
  const Results errors = errors_of(server.port(), batch);
  EXPECT_EQ(errors.begin()->second.at("error").at("code").as_string(), "batch_cancelled");
  EXPECT_TRUE(errors.begin()->second.at("response").is_null());
  EXPECT_EQ(ask(server.port(), post(path, "")).status, 409);
}

TEST(Batches, ExpireInTheMiddle) {
  const TempFolder folder;
  const auto ahead = std::make_shared<std::atomic<int64_t>>(0);
  FakeServerOptions options = with_data(folder.path(), ahead);
  options.app.models.engine.scheduler.max_sequences = 4;
  options.model.step_time = std::chrono::milliseconds(2);
  FakeServer server(options);
  const std::string id = create_batch(server.port(), chat_lines(1000));
  ASSERT_TRUE(wait_for_results(server.port(), id, 5));
  *ahead = kWindowSeconds + 1;
  const Reply batch = wait_for_end(server.port(), id);
  EXPECT_EQ(text_of(batch, "status"), "expired");
  EXPECT_TRUE(batch.json().at("expired_at").is_int64());
  expect_each_once(server.port(), batch, 1000);
  EXPECT_EQ(errors_of(server.port(), batch).begin()->second.at("error").at("code").as_string(),
            "batch_expired");
}

TEST(Batches, LeaveRoomForThoseWhoCome) {
  const TempFolder folder;
  FakeServerOptions options = with_data(folder.path());
  options.app.models.engine.scheduler.max_sequences = 4;
  FakeServer server(options);
  server.gate.close();
  const std::string id =
      create_batch(server.port(), chat_lines(20, R"("max_tokens":500,"ignore_eos":true)"));
  ASSERT_TRUE(server.gate.holds());
  EXPECT_TRUE(eventually([&] { return server.num_open() == batch_room(4); }));
  // Lines that go on for long hold three of the four places, so this one is answered at once.
  auto live = std::async(
      [&] { return chat(server.port(), "Hello", R"("max_tokens":2,"ignore_eos":true)").status; });
  EXPECT_TRUE(eventually([&] { return server.num_open() == 4; }));
  server.gate.let(50);
  EXPECT_EQ(live.get(), 200);
  EXPECT_EQ(count_of(get_batch(server.port(), id), "completed"), 0);
  server.gate.open();
  EXPECT_EQ(ask(server.port(), post(fmt::format("/v1/batches/{}/cancel", id), "")).status, 200);
  expect_each_once(server.port(), wait_for_end(server.port(), id), 20);
}

TEST(Batches, AreListedTheNewestFirst) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(create_batch(server.port(), chat_lines(1)));
  const Reply page = ask(server.port(), http("GET", "/v1/batches?limit=2", ""));
  EXPECT_EQ(text_of(page, "first_id"), ids[2]);
  EXPECT_EQ(text_of(page, "last_id"), ids[1]);
  EXPECT_TRUE(page.json().at("has_more").as_bool());
  const Reply last = ask(server.port(), http("GET", "/v1/batches?after=" + ids[1], ""));
  EXPECT_EQ(text_of(last, "first_id"), ids[0]);
  EXPECT_FALSE(last.json().at("has_more").as_bool());
  EXPECT_EQ(ask(server.port(), http("GET", "/v1/batches?after=batch_x", "")).status, 400);
  for (const std::string& id : ids) (void)wait_for_end(server.port(), id);
}

}  // namespace
}  // namespace hachi::server::testing
