// What the tests of files and batches share: a server with a data folder and a clock that can be
// set, and the way that a client of batches goes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "server/fake_server.h"
#include "server/http_talk.h"

namespace hachi::server::testing {

// A folder that goes with it.
class TempFolder {
 public:
  TempFolder() {
    std::string path = ::testing::TempDir() + "hachi-data-XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    path_ = path;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  // What a crash at this moment would leave, or nearly: another server's writes go on meanwhile.
  void copy_from(const std::filesystem::path& other) const {
    std::error_code ignored;  // a file may be renamed away while it is copied
    std::filesystem::create_directories(path_ / "files");
    std::filesystem::create_directories(path_ / "batches");
    // Records first: what they say is older than what the results say, as after a crash.
    for (const char* folder : {"batches", "files"}) {
      for (const auto& entry : std::filesystem::directory_iterator(other / folder)) {
        std::filesystem::copy_file(entry.path(), path_ / folder / entry.path().filename(),
                                   std::filesystem::copy_options::overwrite_existing, ignored);
      }
    }
  }

 private:
  std::filesystem::path path_;
};

// Seconds by which the servers' clock is ahead.
inline FakeServerOptions with_data(const std::filesystem::path& folder,
                                   std::shared_ptr<std::atomic<int64_t>> ahead = nullptr) {
  FakeServerOptions options;
  options.app.data_folder = folder;
  if (ahead) {
    options.app.now = [ahead] {
      return std::chrono::system_clock::now() + std::chrono::seconds(ahead->load());
    };
  }
  return options;
}

inline constexpr std::string_view kFormType =
    "Content-Type: multipart/form-data; boundary=\"b o\"\r\n";

inline std::string form(std::string_view content, std::string_view purpose = "batch") {
  return fmt::format(
      "--b o\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{}\r\n"
      "--b o\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\n{}\r\n--b o--\r\n",
      purpose, content);
}

inline std::string text_of(const Reply& reply, std::string_view name) {
  const auto value = reply.json();
  const auto* field = value.as_object().if_contains(name);
  return field != nullptr && field->is_string() ? std::string(field->get_string()) : std::string();
}

// The file's id; empty if it was refused.
inline std::string upload(uint16_t port, std::string_view content, std::string_view headers = "") {
  const Reply reply =
      ask(port, post("/v1/files", form(content), std::string(kFormType) + std::string(headers)));
  EXPECT_EQ(reply.status, 200) << reply.body;
  return text_of(reply, "id");
}

inline Reply post_batch(uint16_t port, std::string_view file, std::string_view endpoint,
                        std::string_view headers = "") {
  return ask(port, post("/v1/batches",
                        fmt::format(R"({{"input_file_id":"{}","endpoint":"{}",)"
                                    R"("completion_window":"24h","metadata":{{"k":"v"}}}})",
                                    file, endpoint),
                        headers));
}

inline std::string create_batch(uint16_t port, std::string_view content,
                                std::string_view endpoint = "/v1/chat/completions") {
  const Reply reply = post_batch(port, upload(port, content), endpoint);
  EXPECT_EQ(reply.status, 200) << reply.body;
  return text_of(reply, "id");
}

inline Reply get_batch(uint16_t port, std::string_view id) {
  return ask(port, http("GET", fmt::format("/v1/batches/{}", id), ""));
}

inline int64_t count_of(const Reply& batch, std::string_view name) {
  return batch.json().at("request_counts").at(name).as_int64();
}

// The batch once it has ended, or as it is after twenty seconds.
inline Reply wait_for_end(uint16_t port, std::string_view id) {
  Reply batch;
  for (int i = 0; i < 2000; ++i) {
    batch = get_batch(port, id);
    const std::string status = text_of(batch, "status");
    if (status == "completed" || status == "failed" || status == "expired" ||
        status == "cancelled") {
      return batch;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ADD_FAILURE() << "it does not end: " << batch.body;
  return batch;
}

inline bool wait_for_results(uint16_t port, std::string_view id, int64_t wanted) {
  for (int i = 0; i < 2000; ++i) {
    const Reply batch = get_batch(port, id);
    if (count_of(batch, "completed") + count_of(batch, "failed") >= wanted) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

inline std::string content_of(uint16_t port, std::string_view file) {
  if (file.empty()) return "";
  const Reply reply = ask(port, http("GET", fmt::format("/v1/files/{}/content", file), ""));
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_TRUE(reply.is_whole);
  return reply.body;
}

// A line's result, by custom_id; a custom_id that comes twice is a failure.
using Results = std::map<std::string, boost::json::object>;

inline void add_results(Results& results, const std::string& text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    ASSERT_NE(end, std::string::npos) << "a torn line: " << text.substr(at);
    const auto line = boost::json::parse(text.substr(at, end - at)).as_object();
    const std::string id(line.at("custom_id").as_string());
    EXPECT_TRUE(results.emplace(id, line).second) << "two results for " << id;
    at = end + 1;
  }
}

// Of the output file and the error file of a batch that has ended.
inline Results output_of(uint16_t port, const Reply& batch) {
  Results results;
  add_results(results, content_of(port, text_of(batch, "output_file_id")));
  return results;
}
inline Results errors_of(uint16_t port, const Reply& batch) {
  Results results;
  add_results(results, content_of(port, text_of(batch, "error_file_id")));
  return results;
}

inline std::string chat_line(int number, std::string_view more = R"("max_tokens":3)") {
  return fmt::format(
      R"({{"custom_id":"line-{}","method":"POST","url":"/v1/chat/completions","body":{}}})"
      "\n",
      number, chat_body(fmt::format("Number {}", number), more));
}

inline std::string chat_lines(int count, std::string_view more = R"("max_tokens":3)") {
  std::string text;
  for (int i = 0; i < count; ++i) text += chat_line(i, more);
  return text;
}

// Each line has one result, in one of the files.
inline void expect_each_once(uint16_t port, const Reply& batch, int count) {
  Results all = output_of(port, batch);
  for (auto& [id, line] : errors_of(port, batch)) {
    EXPECT_TRUE(all.emplace(id, line).second) << "two results for " << id;
  }
  EXPECT_EQ(all.size(), static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) EXPECT_TRUE(all.contains(fmt::format("line-{}", i))) << i;
}

}  // namespace hachi::server::testing
