#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "api/response_stream.h"
#include "api/sse.h"

namespace hachi::api {
namespace {

const ResponseHead kHead = {"resp_1", 5, "m"};

boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

ResponsesRequest request_of(const std::string& members) {
  auto request = parse_responses_request(R"({"model":"m",)" + members + "}");
  EXPECT_TRUE(request) << request.error().message;
  return request ? *std::move(request) : ResponsesRequest();
}

TEST(ResponsesRequest, BecomesWhatTemplatesRead) {
  const auto text = request_of(R"("input": "Hi", "instructions": "Be kind.")");
  EXPECT_EQ(boost::json::value(text.messages), parse(R"([{"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"}])"));
  const auto items = request_of(R"("input": [
      {"role": "user", "content": [{"type": "input_text", "text": "a"},
                                   {"type": "input_text", "text": "b"}]},
      {"type": "reasoning", "id": "rs_1", "summary": [],
       "content": [{"type": "reasoning_text", "text": "Hm"}]},
      {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
       "content": [{"type": "output_text", "text": "c", "annotations": []}]},
      {"type": "reasoning", "id": "rs_2", "summary": [],
       "content": [{"type": "reasoning_text", "text": "lost"}]},
      {"role": "user", "content": "d"},
      {"role": "assistant", "content": "e"}])");
  EXPECT_EQ(boost::json::value(items.messages), parse(R"([
      {"role": "user", "content": "a\nb"},
      {"role": "assistant", "content": "c", "reasoning_content": "Hm"},
      {"role": "user", "content": "d"},
      {"role": "assistant", "content": "e"}])"));
}

TEST(ResponsesRequest, ReadsEachField) {
  const auto request = request_of(R"("input": "Hi", "temperature": 0.5, "top_p": 0.25,
    "max_output_tokens": 9, "stream": true, "top_logprobs": 3, "metadata": {"k": "v"},
    "reasoning": {"effort": "none"})");
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_p, 0.25);
  EXPECT_EQ(request.max_output_tokens, 9);
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.logprobs);
  EXPECT_EQ(request.top_logprobs, 3);
  EXPECT_EQ(request.prompt.enable_thinking, false);
  EXPECT_EQ(parse("{" + request.echo + "}"), parse(R"({"instructions": null,
    "max_output_tokens": 9, "temperature": 0.5, "top_p": 0.25, "top_logprobs": 3,
    "metadata": {"k": "v"}, "reasoning": {"effort": "none", "summary": null},
    "text": {"format": {"type": "text"}}, "tools": [], "tool_choice": "auto",
    "parallel_tool_calls": true, "previous_response_id": null, "background": false,
    "truncation": "disabled"})"));
}

TEST(Response, HasThoughtsAndAMessage) {
  const auto request = request_of(R"("input": "Hi")");
  const TokenLogprob tokens[] = {{"A", -0.5f}};
  std::string out;
  append_response(out, kHead, request, {"Hm", "A", tokens}, FinishReason::kStop, {3, 2, 1, 1});
  const auto response = parse(out);
  EXPECT_EQ(response.at("status"), "completed");
  EXPECT_TRUE(response.at("incomplete_details").is_null());
  EXPECT_TRUE(response.at("error").is_null());
  EXPECT_EQ(response.at("output"), parse(R"([
    {"id": "rs_1_0", "type": "reasoning", "status": "completed", "summary": [],
     "content": [{"type": "reasoning_text", "text": "Hm"}]},
    {"id": "msg_1_1", "type": "message", "status": "completed", "role": "assistant",
     "content": [{"type": "output_text", "text": "A", "annotations": [], "logprobs": [
       {"token": "A", "logprob": -0.5, "bytes": [65], "top_logprobs": []}]}]}])"));
  EXPECT_EQ(response.at("usage"), parse(R"({"input_tokens": 3, "output_tokens": 2,
    "total_tokens": 5, "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 1}})"));
}

TEST(Response, SaysWhereItWasCut) {
  const auto request = request_of(R"("input": "Hi")");
  std::string out;
  append_response(out, kHead, request, {"Hm", "", std::nullopt}, FinishReason::kLength, {});
  const auto response = parse(out);
  EXPECT_EQ(response.at("status"), "incomplete");
  EXPECT_EQ(response.at_pointer("/incomplete_details/reason"), "max_output_tokens");
  ASSERT_EQ(response.at("output").as_array().size(), 1u);
  EXPECT_EQ(response.at_pointer("/output/0/status"), "incomplete");
}

// The stream's last event has the same response as the answer in one piece.
TEST(ResponseStream, EndsWithTheWholeResponse) {
  const auto request = request_of(R"("input": "Hi", "top_logprobs": 0,
    "include": ["message.output_text.logprobs"])");
  const TokenLogprob tokens[] = {{"A", -0.5f}, {"B", -1.5f}};
  ResponseStream stream(kHead, request);
  std::string out;
  stream.start(out);
  stream.reasoning_delta(out, "H");
  stream.reasoning_delta(out, "m");
  stream.text_delta(out, "A", std::span(tokens).first(1));
  stream.text_delta(out, "B", std::span(tokens).subspan(1));
  const Usage usage = {3, 4, 1, 2};
  stream.finish(out, FinishReason::kStop, usage);

  const auto events = events_of(out);
  const std::string expected[] = {
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.reasoning_text.delta",
      "response.reasoning_text.delta",
      "response.reasoning_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
  };
  ASSERT_EQ(events.size(), std::size(expected));
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].name, expected[i]);
    EXPECT_EQ(events[i].json().at("type").as_string(), expected[i]);
    EXPECT_EQ(events[i].json().at("sequence_number"), i);
  }
  EXPECT_EQ(events[12].json(), parse(R"({"type": "response.output_text.delta",
    "sequence_number": 12, "item_id": "msg_1_1", "output_index": 1, "content_index": 0,
    "delta": "B", "logprobs": [
      {"token": "B", "logprob": -1.5, "bytes": [66], "top_logprobs": []}]})"));
  EXPECT_EQ(events[6].json().at("text"), "Hm");
  EXPECT_EQ(events[13].json().at("text"), "AB");
  EXPECT_EQ(events[13].json().at("logprobs").as_array().size(), 2u);
  EXPECT_EQ(events[1].json().at_pointer("/response/status"), "in_progress");

  std::string whole;
  append_response(whole, kHead, request, {"Hm", "AB", tokens}, FinishReason::kStop, usage);
  EXPECT_EQ(events.back().json().at("response"), parse(whole));
}

TEST(ResponseStream, IsIncompleteWhereItWasCut) {
  ResponseStream stream(kHead, request_of(R"("input": "Hi")"));
  std::string out;
  stream.start(out);
  stream.text_delta(out, "A");
  stream.finish(out, FinishReason::kLength, {});
  const auto events = events_of(out);
  EXPECT_EQ(events.back().name, "response.incomplete");
  EXPECT_EQ(events.back().json().at_pointer("/response/output/0/status"), "incomplete");
  EXPECT_EQ(events.back().json().at_pointer("/response/incomplete_details/reason"),
            "max_output_tokens");
}

TEST(ResponseStream, HasAMessageWhereNothingWasSaid) {
  ResponseStream stream(kHead, request_of(R"("input": "Hi")"));
  std::string out;
  stream.start(out);
  stream.finish(out, FinishReason::kStop, {});
  const auto last = events_of(out).back().json();
  EXPECT_EQ(last.at_pointer("/response/output/0/content/0/text"), "");
}

TEST(ResponseStream, Fails) {
  ResponseStream stream(kHead, request_of(R"("input": "Hi")"));
  std::string out;
  stream.start(out);
  stream.text_delta(out, "A");
  stream.fail(out, {500, "the device is gone", "", ""});
  const auto last = events_of(out).back();
  EXPECT_EQ(last.name, "response.failed");
  EXPECT_EQ(last.json().at_pointer("/response/status"), "failed");
  EXPECT_EQ(last.json().at_pointer("/response/error"),
            parse(R"({"code": "server_error", "message": "the device is gone"})"));
}

// What was answered can be sent back as input.
TEST(ResponsesRequest, TakesBackWhatWasAnswered) {
  std::string out;
  append_response(out, kHead, request_of(R"("input": "Hi")"), {"Hm", "A", std::nullopt},
                  FinishReason::kStop, {});
  auto items = parse(out).at("output").as_array();
  items.push_back(parse(R"({"role": "user", "content": "Go on"})"));
  const auto again = request_of(R"("input": )" + boost::json::serialize(items));
  EXPECT_EQ(boost::json::value(again.messages), parse(R"([
      {"role": "assistant", "content": "A", "reasoning_content": "Hm"},
      {"role": "user", "content": "Go on"}])"));
}

}  // namespace
}  // namespace hachi::api
