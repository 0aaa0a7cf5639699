// What an answer has to look like, asked for and kept: budgets for thoughts and forms, on a model
// that would say something else.
#include <string>

#include <gtest/gtest.h>

#include "output/automaton.h"
#include "server/fake_server.h"
#include "server/http_talk.h"

namespace hachi::server::testing {
namespace {

constexpr std::string_view kThinks = R"(,"enable_thinking":true,"temperature":0)";

std::string text(const boost::json::value& value) { return std::string(value.as_string()); }

TEST(Forms, ThinkingEndsWithItsBudget) {
  FakeServer server;
  server.say(std::string(400, 'x'), kThinkingStart);
  const std::string fields = fmt::format(R"("max_tokens":200,"thinking_budget":3{})", kThinks);
  const auto whole = chat(server.port(), "Hello", fields).json().at("choices").at(0);
  const auto& message = whole.at("message");
  EXPECT_EQ(text(message.at("reasoning_content")),
            "xxx" + std::string(output::kClosingWords) + "\n");
  EXPECT_TRUE(message.at("reasoning_truncated").as_bool());
  const std::string content = text(message.at("content"));
  EXPECT_FALSE(content.empty());
  EXPECT_EQ(content, std::string(content.size(), 'x'));

  const Reply streamed = chat(server.port(), "Hello", fields + R"(,"stream":true)");
  const StreamedChat stream = read_stream(streamed);
  EXPECT_EQ(stream.choices[0].reasoning, text(message.at("reasoning_content")));
  EXPECT_EQ(stream.choices[0].content, content);
  EXPECT_NE(streamed.body.find(R"("reasoning_truncated":true)"), std::string::npos);
}

TEST(Forms, WithinTheBudgetNothingIsTruncated) {
  FakeServer server;
  server.say("xx</think>y", kThinkingStart);
  const std::string fields = fmt::format(R"("thinking_budget":100{})", kThinks);
  const auto message =
      chat(server.port(), "Hello", fields).json().at("choices").at(0).at("message");
  EXPECT_EQ(text(message.at("reasoning_content")), "xx");
  EXPECT_EQ(text(message.at("content")), "y");
  EXPECT_EQ(message.as_object().if_contains("reasoning_truncated"), nullptr);
}

// All that the last event of a stream says of the response is what it says unstreamed.
TEST(Forms, ResponsesSayTheSameStreamed) {
  FakeServer server;
  server.say(std::string(400, 'x'), kThinkingStart);
  const std::string body = fmt::format(
      R"("model":"fake","input":"Hello","max_output_tokens":200,"thinking_budget":3{})", kThinks);
  const auto statuses = [](const boost::json::value& response) {
    std::string out;
    for (const auto& item : response.at("output").as_array()) {
      out += text(item.at("type")) + " " + text(item.at("status")) + "\n";
    }
    return out;
  };
  const auto whole = ask(server.port(), post("/v1/responses", "{" + body + "}")).json();
  const auto events =
      ask(server.port(), post("/v1/responses", "{" + body + R"(,"stream":true})")).events();
  ASSERT_FALSE(events.empty());
  const auto last = boost::json::parse(events.back()).at("response");
  EXPECT_EQ(statuses(whole), "reasoning incomplete\nmessage incomplete\n");
  EXPECT_EQ(statuses(last), statuses(whole));
}

// The grammar begins behind the thoughts, which it does not touch.
TEST(Forms, AChoiceIsKeptToBehindTheThoughts) {
  FakeServer server;
  server.say("<xyz></think>neither", kThinkingStart);
  const std::string fields =
      fmt::format(R"("structured_outputs":{{"choice":["yes","no"]}}{})", kThinks);
  const auto choice = chat(server.port(), "Hello", fields).json().at("choices").at(0);
  EXPECT_EQ(text(choice.at("message").at("reasoning_content")), "<xyz>");
  const std::string content = text(choice.at("message").at("content"));
  EXPECT_TRUE(content == "yes" || content == "no") << content;
  EXPECT_EQ(text(choice.at("finish_reason")), "stop");
}

TEST(Forms, WhatCannotBeHeldToIsRefusedByItsField) {
  FakeServer server;
  const Reply reply = chat(server.port(), "Hello", R"("structured_outputs":{"regex":"a{2"})");
  EXPECT_EQ(reply.status, 400) << reply.body;
  EXPECT_EQ(text(reply.json().at("error").at("param")), "structured_outputs.regex");
}

}  // namespace
}  // namespace hachi::server::testing
