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

// The prompt that the log has of a request.
std::string prompt_of(FakeServer& server, const std::string& path, const std::string& body) {
  const int64_t before = server.num_logged();
  EXPECT_EQ(ask(server.port(), post(path, body)).status, 200);
  EXPECT_TRUE(eventually([&] { return server.num_logged() == before + 1; }));
  const std::string log = server.log_text();
  const size_t last = log.rfind('\n', log.size() - 2);
  return text(boost::json::parse(log.substr(last == log.npos ? 0 : last + 1)).at("prompt"));
}

TEST(Forms, ASystemMessageMayGoIntoTheUsers) {
  const std::string messages =
      R"("max_tokens":3,"messages":[{"role":"system","content":"Be brief."},)"
      R"({"role":"user","content":"Hello"}])";
  const std::string anthropic = R"({"model":"fake","max_tokens":3,"system":"Be brief.",)"
                                R"("messages":[{"role":"user","content":"Hello"}]})";
  const std::string response =
      R"({"max_output_tokens":3,"model":"fake","instructions":"Be brief.","input":"Hello"})";
  const std::string apart = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello";
  const std::string together = "<|im_start|>user\nBe brief.\n\nHello<|im_end|>";
  const auto chat_prompt = [&](FakeServer& server, std::string_view more) {
    return prompt_of(server, "/v1/chat/completions",
                     fmt::format(R"({{"model":"fake",{}{}}})", messages, more));
  };
  FakeServer plain({.with_text = true});
  EXPECT_TRUE(chat_prompt(plain, "").starts_with(apart));
  EXPECT_TRUE(chat_prompt(plain, R"(,"system_in_user":true)").starts_with(together));
  FakeServer set(
      {.with_text = true, .change_parts = [](ModelParts& parts) { parts.system_in_user = true; }});
  EXPECT_TRUE(chat_prompt(set, "").starts_with(together));
  EXPECT_TRUE(chat_prompt(set, R"(,"system_in_user":false)").starts_with(apart));
  EXPECT_TRUE(prompt_of(set, "/v1/messages", anthropic).starts_with(together));
  EXPECT_TRUE(prompt_of(set, "/v1/responses", response).starts_with(together));
}

}  // namespace
}  // namespace hachi::server::testing
