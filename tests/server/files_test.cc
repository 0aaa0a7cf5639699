// Files: sent, listed, read, removed; whose they are; what is no file.
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "server/batch_talk.h"

namespace hachi::server::testing {
namespace {

Reply get(uint16_t port, std::string_view path, std::string_view headers = "") {
  return ask(port, http("GET", path, "", headers));
}

Reply send_form(uint16_t port, std::string_view body, std::string_view headers = kFormType) {
  return ask(port, post("/v1/files", body, headers));
}

TEST(Files, AreSentReadAndRemoved) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  // Longer than the pieces in which it is read, with what looks like a boundary.
  std::string content = "a\r\n--b\r\n\0b";
  for (int i = 0; i < 100'000; ++i) content += std::to_string(i * 7919);
  const Reply made = send_form(server.port(), form(content));
  ASSERT_EQ(made.status, 200) << made.body;
  EXPECT_EQ(text_of(made, "filename"), "in.jsonl");
  EXPECT_EQ(text_of(made, "purpose"), "batch");
  EXPECT_EQ(text_of(made, "object"), "file");
  EXPECT_EQ(made.json().at("bytes").as_int64(), static_cast<int64_t>(content.size()));
  const std::string id = text_of(made, "id");
  EXPECT_TRUE(is_id(kFileId, id));
  EXPECT_EQ(get(server.port(), "/v1/files/" + id).body, made.body);
  EXPECT_EQ(content_of(server.port(), id), content);
  const Reply listed = get(server.port(), "/v1/files");
  EXPECT_EQ(text_of(listed, "first_id"), id);
  const Reply removed = ask(server.port(), http("DELETE", "/v1/files/" + id, ""));
  EXPECT_TRUE(removed.json().at("deleted").as_bool());
  EXPECT_EQ(get(server.port(), "/v1/files/" + id).status, 404);
  EXPECT_EQ(get(server.port(), "/v1/files/" + id + "/content").status, 404);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "files"));
}

TEST(Files, StayAfterARestart) {
  const TempFolder folder;
  std::string id;
  {
    FakeServer server(with_data(folder.path()));
    id = upload(server.port(), "what stays");
  }
  const auto orphan = folder.path() / "files" / "file-00000000000000000000000000000000";
  std::ofstream(orphan) << "an upload that was cut";
  FakeServer server(with_data(folder.path()));
  EXPECT_EQ(content_of(server.port(), id), "what stays");
  EXPECT_FALSE(std::filesystem::exists(orphan));
}

TEST(Files, AreListedInPages) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(upload(server.port(), std::to_string(i)));
  const Reply first = get(server.port(), "/v1/files?order=asc&limit=2&purpose=batch");
  EXPECT_EQ(text_of(first, "first_id"), ids[0]);
  EXPECT_EQ(text_of(first, "last_id"), ids[1]);
  EXPECT_TRUE(first.json().at("has_more").as_bool());
  const Reply rest = get(server.port(), "/v1/files?order=asc&after=" + ids[1]);
  EXPECT_EQ(text_of(rest, "first_id"), ids[2]);
  EXPECT_FALSE(rest.json().at("has_more").as_bool());
  EXPECT_TRUE(
      get(server.port(), "/v1/files?purpose=batch_output").json().at("data").as_array().empty());
  EXPECT_EQ(get(server.port(), "/v1/files?limit=0").status, 400);
}

TEST(Files, RefuseFormsThatAreNone) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  const auto expect_refused = [&](std::string_view body, std::string_view field,
                                  std::string_view wanted, std::string_view headers = kFormType) {
    const Reply reply = send_form(server.port(), body, headers);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(reply.error_field(field), wanted) << reply.body;
  };
  expect_refused("{}", "code", "invalid_form", "Content-Type: application/json\r\n");
  expect_refused(form("x"), "code", "invalid_form", "Content-Type: multipart/form-data\r\n");
  expect_refused("", "code", "invalid_form");
  expect_refused("--b o--", "param", "purpose");
  expect_refused(form("x", "fine-tune"), "param", "purpose");
  const std::string whole = form("x");
  expect_refused(whole.substr(0, whole.size() - 5), "code", "invalid_form");
  std::string more = whole;
  more.insert(
      more.size() - 4,
      "\r\nContent-Disposition: form-data; name=\"expires_after[seconds]\"\r\n\r\n9\r\n--b o");
  expect_refused(more, "param", "expires_after");
  expect_refused(
      "--b o\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b o--", "param",
      "file");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "files"));
}

TEST(Files, HaveIdsThatLeadNowhereElse) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  std::ofstream(folder.path() / "secret") << "secret";
  for (const char* id :
       {"../secret", "..%2fsecret", "%2e%2e%2fsecret", "..%2f..%2f..%2fetc%2fpasswd", ".", "..",
        "%00", "file-", "file-0000000000000000000000000000000g",
        "file-00000000000000000000000000000000/../../secret"}) {
    for (const char* after : {"", "/content"}) {
      const Reply reply = get(server.port(), fmt::format("/v1/files/{}{}", id, after));
      EXPECT_TRUE(reply.status == 404 || reply.status == 400) << id << ": " << reply.status;
      EXPECT_EQ(reply.body.find("root:"), std::string::npos);
    }
    const Reply removed = ask(server.port(), http("DELETE", fmt::format("/v1/files/{}", id), ""));
    EXPECT_TRUE(removed.status == 404 || removed.status == 400) << id;
  }
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "secret"));
}

TEST(Files, HaveRoomForSoMuch) {
  const TempFolder folder;
  FakeServerOptions options = with_data(folder.path());
  options.app.max_data_bytes = 1000;
  FakeServer server(options);
  const std::string id = upload(server.port(), std::string(600, 'x'));
  const Reply full = send_form(server.port(), form(std::string(401, 'x')));
  EXPECT_EQ(full.status, 507);
  EXPECT_EQ(full.error_field("code"), "storage_full");
  EXPECT_EQ(ask(server.port(), http("DELETE", "/v1/files/" + id, "")).status, 200);
  (void)upload(server.port(), std::string(1000, 'x'));
}

TEST(Files, AreNotThereWithoutAFolder) {
  FakeServer server;
  EXPECT_EQ(get(server.port(), "/v1/files").status, 501);
  EXPECT_EQ(get(server.port(), "/v1/batches").status, 501);
  EXPECT_EQ(send_form(server.port(), form("x")).status, 501);
  EXPECT_EQ(chat(server.port(), "Hello", R"("max_tokens":2)").status, 200);
}

TEST(Files, BelongToOneServerAtATime) {
  const TempFolder folder;
  FakeServer first(with_data(folder.path()));
  FakeServer second(with_data(folder.path()));
  EXPECT_EQ(first.app().storage_error(), "");
  EXPECT_NE(second.app().storage_error().find("another server"), std::string::npos);
  EXPECT_EQ(get(second.port(), "/v1/files").status, 501);
}

TEST(Files, BelongToTheKeyThatMadeThem) {
  const TempFolder folder;
  std::vector<Key> keys(2);
  keys[0].name = "alice";
  keys[0].hash = sha256("sk-alice");
  keys[1].name = "bob";
  keys[1].hash = sha256("sk-bob");
  for (Key& key : keys) key.limiter = std::make_shared<RateLimiter>(KeyLimits{});
  FakeServerOptions options = with_data(folder.path());
  options.keys = std::make_shared<const KeyRing>(std::move(keys));
  FakeServer server(options);
  const std::string alice = "Authorization: Bearer sk-alice\r\n";
  const std::string bob = "Authorization: Bearer sk-bob\r\n";
  EXPECT_EQ(get(server.port(), "/v1/files").status, 401);
  const std::string file = upload(server.port(), chat_lines(2), alice);
  EXPECT_EQ(get(server.port(), "/v1/files/" + file, alice).status, 200);
  EXPECT_EQ(get(server.port(), "/v1/files/" + file, bob).status, 404);
  EXPECT_EQ(get(server.port(), "/v1/files/" + file + "/content", bob).status, 404);
  EXPECT_EQ(ask(server.port(), http("DELETE", "/v1/files/" + file, "", bob)).status, 404);
  EXPECT_TRUE(get(server.port(), "/v1/files", bob).json().at("data").as_array().empty());
  EXPECT_EQ(post_batch(server.port(), file, "/v1/chat/completions", bob).status, 400);
  const Reply made = post_batch(server.port(), file, "/v1/chat/completions", alice);
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string batch = "/v1/batches/" + text_of(made, "id");
  EXPECT_EQ(get(server.port(), batch, bob).status, 404);
  EXPECT_EQ(ask(server.port(), post(batch + "/cancel", "", bob)).status, 404);
  EXPECT_TRUE(get(server.port(), "/v1/batches", bob).json().at("data").as_array().empty());
  EXPECT_TRUE(eventually(
      [&] { return text_of(get(server.port(), batch, alice), "status") == "completed"; }));
  const std::string output = text_of(get(server.port(), batch, alice), "output_file_id");
  EXPECT_EQ(get(server.port(), "/v1/files/" + output, alice).status, 200);
  EXPECT_EQ(get(server.port(), "/v1/files/" + output, bob).status, 404);
}

TEST(Files, StayWhileABatchReadsThem) {
  const TempFolder folder;
  FakeServer server(with_data(folder.path()));
  server.gate.close();
  const std::string file = upload(server.port(), chat_lines(2));
  const std::string id = text_of(post_batch(server.port(), file, "/v1/chat/completions"), "id");
  const Reply refused = ask(server.port(), http("DELETE", "/v1/files/" + file, ""));
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.error_field("code"), "file_in_use");
  server.gate.open();
  (void)wait_for_end(server.port(), id);
  EXPECT_TRUE(eventually(
      [&] { return ask(server.port(), http("DELETE", "/v1/files/" + file, "")).status == 200; }));
}

}  // namespace
}  // namespace hachi::server::testing
