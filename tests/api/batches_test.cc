#include "api/batches.h"

#include <algorithm>
#include <limits>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "api/chat_completions.h"
#include "api/list_query.h"

namespace hachi::api {
namespace {

boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

TEST(Files, HaveOpenAisShape) {
  const FileObject files[] = {{"file-1", 10, 5, "a\"b.jsonl", FilePurpose::kBatch},
                              {"file-2", 0, 6, "out", FilePurpose::kBatchOutput}};
  std::string out;
  append_file_list(out, files, true);
  EXPECT_EQ(parse(out), parse(R"({"object": "list", "first_id": "file-1", "last_id": "file-2",
    "has_more": true, "data": [
      {"id": "file-1", "object": "file", "bytes": 10, "created_at": 5, "filename": "a\"b.jsonl",
       "purpose": "batch", "status": "processed"},
      {"id": "file-2", "object": "file", "bytes": 0, "created_at": 6, "filename": "out",
       "purpose": "batch_output", "status": "processed"}]})"));
  out.clear();
  append_file_list(out, {}, false);
  EXPECT_EQ(parse(out), parse(R"({"object": "list", "data": [], "first_id": null, "last_id": null,
    "has_more": false})"));
  out.clear();
  append_file_deleted(out, "file-1");
  EXPECT_EQ(parse(out), parse(R"({"id": "file-1", "object": "file", "deleted": true})"));
}

TEST(Batches, HaveOpenAisShape) {
  Batch batch;
  batch.id = "batch_1";
  const auto request = parse_batch_request(R"({"input_file_id": "file-1",
    "endpoint": "/v1/completions", "completion_window": "24h", "metadata": {"k": "v"}})");
  ASSERT_TRUE(request);
  batch.request = *request;
  batch.status = BatchStatus::kFailed;
  batch.created_at = 1;
  batch.failed_at = 2;
  batch.errors = {{7, {400, "n must be at least 1, got 0", "n", ""}}};
  batch.total = 3;
  std::string out;
  append_batch(out, batch);
  EXPECT_EQ(parse(out), parse(R"({"id": "batch_1", "object": "batch",
    "endpoint": "/v1/completions", "input_file_id": "file-1", "completion_window": "24h",
    "status": "failed", "output_file_id": null, "error_file_id": null,
    "errors": {"object": "list", "data": [{"code": null, "line": 7,
      "message": "n must be at least 1, got 0", "param": "n"}]},
    "created_at": 1, "in_progress_at": null, "expires_at": null, "finalizing_at": null,
    "completed_at": null, "failed_at": 2, "expired_at": null, "cancelling_at": null,
    "cancelled_at": null, "request_counts": {"total": 3, "completed": 0, "failed": 0},
    "metadata": {"k": "v"}})"));
}

TEST(ListQuery, ReadsAPage) {
  const auto first = parse_list_query("", 20, 100);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->limit, 20);
  EXPECT_EQ(first->after, "");
  EXPECT_FALSE(first->ascending);
  const auto page = parse_list_query("after=file%2D1&limit=100&order=asc&purpose=a+b", 20, 100);
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->limit, 100);
  EXPECT_EQ(page->after, "file-1");
  EXPECT_TRUE(page->ascending);
  EXPECT_EQ(page->purpose, "a b");
  EXPECT_TRUE(parse_list_query("&after=&&", 20, 100));
}

TEST(ListQuery, RefusesWhatItDoesNotKnow) {
  const std::pair<std::string, std::string> cases[] = {
      {"limit=101", "limit must be at most 100, got 101"},
      {"limit=0", "limit must be at least 1, got 0"},
      {"limit=", "limit must be an integer, got ''"},
      {"limit=1x", "limit must be an integer, got '1x'"},
      {"limit=99999999999999999999", "limit must be an integer, got '99999999999999999999'"},
      {"order=up", "order must be one of 'asc', 'desc', got 'up'"},
      {"colour", "colour is not a field that is known here"},
      {"%ff=1", "\\xFF is not a field that is known here"},
      {"after=%f", "the query of the URL is not well formed or too long"},
      {"after=%", "the query of the URL is not well formed or too long"},
      {"after=%-1", "the query of the URL is not well formed or too long"},
      {"after=" + std::string(1000, 'a'), "the query of the URL is not well formed or too long"},
  };
  for (const auto& [query, message] : cases) {
    const auto page = parse_list_query(query, 20, 100);
    ASSERT_FALSE(page) << query;
    EXPECT_EQ(page.error().message, message);
    EXPECT_EQ(page.error().status, 400);
  }
}

TEST(Batches, HaveAWordForEachStatus) {
  for (int i = 0; i <= static_cast<int>(BatchStatus::kCancelled); ++i) {
    const auto status = static_cast<BatchStatus>(i);
    EXPECT_EQ(batch_status(to_string(status)), status);
  }
  EXPECT_EQ(to_string(BatchStatus::kCancelled), "cancelled");
  EXPECT_EQ(to_string(BatchStatus::kInProgress), "in_progress");
  EXPECT_EQ(batch_status("done"), std::nullopt);
}

TEST(BatchLine, HoldsARequest) {
  const auto line = parse_batch_line(
      R"({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body":
          {"model": "m", "temperature": 0.1, "seed": -9223372036854775808,
           "messages": [{"role": "user", "content": "\u0000\ud83d\ude00"}]}})");
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->custom_id, "a");
  EXPECT_EQ(line->url, "/v1/chat/completions");
  const auto request = parse_chat_request(line->body);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->sampling.temperature, 0.1);
  EXPECT_EQ(request->sampling.seed, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(request->messages[0].at("content").as_string(), std::string_view("\0😀", 5));
}

TEST(BatchOutput, IsOneLineForEachRequest) {
  std::string out;
  append_batch_result(out, "batch_req_1", "a", "req_1", 200, R"({"id":"x"})");
  append_batch_failure(out, "batch_req_2", "b", {400, "it\nexpired", "", "batch_expired"});
  const size_t end = out.find('\n');
  EXPECT_EQ(parse(out.substr(0, end)), parse(R"({"id": "batch_req_1", "custom_id": "a",
    "response": {"status_code": 200, "request_id": "req_1", "body": {"id": "x"}},
    "error": null})"));
  EXPECT_EQ(parse(out.substr(end + 1)), parse(R"({"id": "batch_req_2", "custom_id": "b",
    "response": null, "error": {"code": "batch_expired", "message": "it\nexpired"}})"));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
}

}  // namespace
}  // namespace hachi::api
