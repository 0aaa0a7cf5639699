// Server-sent events: the rules of the specification, whatever pieces the stream comes in.
#include "net/sse.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace hachi::net {
namespace {

// "type|data|id" of each event, the stream cut into pieces of `piece` bytes.
std::vector<std::string> events_of(std::string_view stream, size_t piece) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
    EXPECT_TRUE(parser.push(stream.substr(0, piece), events));
  }
  std::vector<std::string> texts;
  for (const SseEvent& event : events)
    texts.push_back(event.type + "|" + event.data + "|" + event.id);
  return texts;
}

void expect_events(std::string_view stream, const std::vector<std::string>& expected) {
  for (size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{1000}}) {
    EXPECT_EQ(events_of(stream, piece), expected) << stream << " in pieces of " << piece;
  }
}

TEST(Sse, Events) {
  expect_events("data: one\n\ndata:two\n\n", {"message|one|", "message|two|"});
  expect_events("data: one\ndata:  two\ndata\n\n", {"message|one\n two\n|"});
  expect_events("event: add\ndata: 1\n\ndata: 2\n\n", {"add|1|", "message|2|"});
  expect_events("data: [DONE]\n\n", {"message|[DONE]|"});
}

TEST(Sse, LineEnds) {
  expect_events("data: a\r\n\r\ndata: b\r\rdata: c\n\n",
                {"message|a|", "message|b|", "message|c|"});
  expect_events("data: a\r\ndata: b\r\n\r\n", {"message|a\nb|"});
  expect_events("data: a\rdata: b\n\r\n", {"message|a\nb|"});
}

TEST(Sse, CommentsAndUnknownFields) {
  expect_events(": hello\n:\ndata: a\n: there\nfoo: bar\nretry: 10\n DATA: x\ndata : y\n\n",
                {"message|a|"});
  expect_events(":\n\n:\n\n", {});
}

TEST(Sse, EventsWithoutDataAreNone) {
  expect_events("event: x\n\ndata: a\n\n", {"message|a|"});
  expect_events("data\n\ndata\ndata\n\ndata:", {"message||", "message|\n|"});
  expect_events("data: unfinished\n", {});
}

TEST(Sse, Ids) {
  expect_events("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
                {"message|a|1", "message|b|1", "message|c|"});
  expect_events(std::string_view("id: 1\nid: x\0y\ndata: a\n\n", 23), {"message|a|1"});
}

TEST(Sse, OneByteOrderMark) {
  expect_events(
      "\xEF\xBB\xBF"
      "data: a\n\n\xEF\xBB\xBF"
      "data: b\n\n",
      {"message|a|"});
}

TEST(Sse, LimitsAnEvent) {
  for (const char* line : {"data: 0123456789", "data: 01234\ndata: 56789", ":0123456789012345"}) {
    SseParser parser(15);
    std::vector<SseEvent> events;
    Result<void> pushed = parser.push("data: 012345678\n\n", events);
    EXPECT_TRUE(pushed);
    for (std::string_view rest = line; pushed && !rest.empty(); rest.remove_prefix(1)) {
      pushed = parser.push(rest.substr(0, 1), events);
    }
    ASSERT_FALSE(pushed) << line;
    EXPECT_EQ(pushed.error().code, Code::kLimit);
    EXPECT_FALSE(parser.push("\n\ndata: a\n\n", events));
    EXPECT_EQ(events.size(), 1u);
  }
}

TEST(Sse, WritesWhatItReads) {
  std::string stream;
  append_sse_event(stream, "one");
  EXPECT_EQ(stream, "data: one\n\n");
  append_sse_event(stream, "a\nb\r\nc\rd\n", "delta");
  append_sse_event(stream, "");
  expect_events(stream, {"message|one|", "delta|a\nb\nc\nd\n|", "message||"});
}

}  // namespace
}  // namespace hachi::net
