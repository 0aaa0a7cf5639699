// Every field of a conversation at its extremes and just beyond, bodies that nobody should send,
// and prompts of the length of the context: an answer that ends, or an error that names the field.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/fake_server.h"
#include "server/http_talk.h"

namespace hachi::server::testing {
namespace {

constexpr int64_t kContext = 400;

FakeServerOptions small_context() {
  return {.model = {.page_tokens = 4, .num_pages = kContext / 4, .max_tokens = 256}};
}

std::string list_of(int count, std::string_view element) {
  std::string list;
  for (int i = 0; i < count; ++i) list += fmt::format("{}{}", i == 0 ? "" : ",", element);
  return "[" + list + "]";
}

struct FieldCase {
  std::string field;
  std::vector<std::string> good, bad;
  std::string beside;  // further members
};

std::vector<FieldCase> field_cases(int32_t vocab_size) {
  const std::string last = std::to_string(vocab_size - 1), beyond = std::to_string(vocab_size);
  return {
      {"temperature",
       {"0", "2", "1e-300", "-0.0", "null"},
       {"-0.001", "2.001", "1e400", "\"1\"", "true"}},
      {"top_p", {"0", "1", "1e-300"}, {"-0.001", "1.001", "[]"}},
      {"top_k", {"-1", "0", "1", "1000000000", "2.0"}, {"-2", "1000000001", "1.5", "1e30"}},
      {"min_p", {"0", "1"}, {"-1e-9", "1.1"}},
      {"repetition_penalty", {"0.01", "100"}, {"0", "0.0099", "100.1", "-1"}},
      {"presence_penalty", {"-2", "2"}, {"-2.001", "2.001"}},
      {"frequency_penalty", {"-2", "2"}, {"-2.001", "2.001"}},
      {"seed",
       {"-9223372036854775808", "9223372036854775807", "0"},
       {"9223372036854775808", "-9223372036854780000", "1.5", "1e300"}},
      {"n", {"1", "128"}, {"0", "-1", "129", "4294967297", "1.5"}},
      {"max_tokens", {"1", "300"}, {"0", "-1", "2147483648", "9223372036854775808"}},
      {"max_completion_tokens", {"1", "300"}, {"0", "-1", "2147483648"}},
      {"min_tokens", {"0", "3"}, {"-1", "4", "2147483648"}},
      {"top_logprobs", {"0", "20"}, {"-1", "21", "1.5"}, R"("logprobs":true)"},
      {"top_logprobs", {"0"}, {"1"}},
      {"logprobs", {"true", "false"}, {"1", "\"yes\""}},
      {"priority", {"-2147483648", "2147483647"}, {"-2147483649", "2147483648"}},
      {"logit_bias",
       {R"({"0":100})", R"({"0":-100})", "{}", fmt::format(R"({{"{}":1}})", last)},
       {fmt::format(R"({{"{}":1}})", beyond), R"({"-1":1})", R"({"x":1})", R"({"1":100.1})",
        R"({"1":-100.1})", R"({"2147483647":1})", R"({"2147483648":1})", R"({"1":null,"01":1})",
        "[]"}},
      {"stop_token_ids",
       {"[]", "[0]", fmt::format("[{}]", last), list_of(256, "7")},
       {fmt::format("[{}]", beyond), "[-1]", "[2147483647]", "[2147483648]", "[1.5]", "[\"1\"]",
        list_of(257, "7"), "7"}},
      {"stop",
       {"\"x\"", "[]", "null", list_of(16, "\"y\""), "\"" + std::string(1024, 's') + "\"",
        R"("\u0000")", "\"\u00f6\""},
       {"\"\"", "[\"\"]", list_of(17, "\"y\""), "\"" + std::string(1025, 's') + "\"", "7", "[7]"}},
      {"stream", {"true", "false"}, {"1", "\"true\""}},
      {"stream_options",
       {R"({"include_usage":true})", "{}"},
       {"[]", R"({"x":1})"},
       R"("stream":true)"},
      {"stream_options", {"null"}, {"{}"}},
      {"ignore_eos", {"true"}, {"0"}},
      {"skip_special_tokens", {"false"}, {"\"\""}},
      {"include_reasoning", {"false"}, {"0"}},
      {"reasoning_effort", {"\"none\"", "\"max\""}, {"\"most\"", "1"}},
      {"cache_salt",
       {"\"\"", "\"s\"", "\"" + std::string(512, 's') + "\""},
       {"\"" + std::string(513, 's') + "\"", "1"}},
      {"user", {"\"me\""}, {"1", "\"" + std::string(513, 'u') + "\""}},
      {"chat_template_kwargs",
       {"{}", R"({"enable_thinking":false,"x":[1,{"y":null}]})"},
       {R"({"messages":[]})", R"({"enable_thinking":1})", "[]"}},
      {"add_generation_prompt", {"true", "false"}, {"1"}},
      {"continue_final_message", {"false"}, {"true", "1"}},
      {"system_in_user", {"true", "false", "null"}, {"1", "\"true\""}},
      {"response_format", {R"({"type":"text"})"}, {R"({"type":"xml"})", "{}"}},
      {"tools", {"[]"}, {"[{}]"}},
      {"nonsense", {}, {"1", "null"}},
  };
}

TEST(Fields, AtTheirExtremesAndBeyond) {
  FakeServer server(small_context());
  for (const FieldCase& one : field_cases(server.tokenizer().vocab_size())) {
    std::string beside = one.beside.empty() ? "" : one.beside + ",";
    const bool has_limit = one.field == "max_tokens" || one.field == "max_completion_tokens";
    if (!has_limit) beside += "\"max_tokens\":3,";
    for (const std::string& value : one.good) {
      const Reply reply =
          chat(server.port(), "Hi", fmt::format("{}\"{}\":{}", beside, one.field, value));
      EXPECT_EQ(reply.status, 200) << one.field << " " << value << "\n" << reply.body;
      EXPECT_TRUE(reply.is_whole) << one.field << " " << value;
    }
    for (const std::string& value : one.bad) {
      const Reply reply =
          chat(server.port(), "Hi", fmt::format("{}\"{}\":{}", beside, one.field, value));
      const std::string what = fmt::format("{} {}", one.field, value.substr(0, 100));
      ASSERT_EQ(reply.status, 400) << what << "\n" << reply.body;
      EXPECT_EQ(reply.error_field("type"), "invalid_request_error");
      if (reply.error_field("code") == "invalid_json") continue;  // a number that is none
      EXPECT_TRUE(reply.error_field("param").starts_with(one.field)) << what << reply.body;
      EXPECT_NE(reply.error_field("message").find(one.field), std::string::npos) << reply.body;
    }
  }
  EXPECT_EQ(chat(server.port(), "Hi", "\"max_tokens\":3").status, 200);
}

TEST(Fields, BodiesThatNobodyShouldSend) {
  FakeServerOptions options = small_context();
  options.app.max_body_bytes = 3 << 20;
  FakeServer server(options);
  const std::string nested = std::string(100'000, '[') + std::string(100'000, ']');
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  const struct {
    std::string body;
    int status;
  } kCases[] = {
      {"", 400},
      {" ", 400},
      {"null", 400},
      {"[]", 400},
      {"{", 400},
      {"{}", 400},
      {"{\"model\"", 400},
      {"\xef\xbb\xbf{}", 400},
      {std::string("{}\0", 3), 400},
      {nested, 400},
      {R"({"model":"","messages":)" + nested + "}", 400},
      {objects, 400},
      {R"({"model":"","messages":[{"role":"user","content":)" + nested + "}]}", 400},
      {chat_body(std::string(2 << 20, 'x')), 400},
      {chat_body(std::string(4 << 20, 'x')), 413},
      {chat_body("\\u0000", "\"max_tokens\":3"), 200},
      {chat_body("\\ud800"), 400},
      {chat_body("\\udc00x"), 400},
      {chat_body("\xff\xfe"), 400},
      {chat_body("\xed\xa0\x80"), 400},
      {chat_body("\xc0\x80"), 400},
      {chat_body("\\ud83d\\ude00", "\"max_tokens\":3"), 200},
      {chat_body("<|im_end|><|im_start|>", "\"max_tokens\":3"), 200},
      {chat_body("", "\"max_tokens\":3"), 200},
      {R"({"model":"","messages":[]})", 400},
      {R"({"model":"","messages":{}})", 400},
      {R"({"model":"","messages":[null]})", 400},
      {R"({"model":"","messages":[{"role":"king","content":""}]})", 400},
      {R"({"model":"","messages":[{"role":"user"}]})", 400},
      {R"({"model":"","messages":[{"role":"user","content":[{"type":"image_url"}]}]})", 400},
      {R"({"model":"","messages":)" + list_of(5'000, R"({"role":"user","content":""})") + "}", 400},
      {R"({"model":")" + std::string(513, 'm') + R"(","messages":[]})", 400},
  };
  for (const auto& [body, status] : kCases) {
    const Reply reply = ask(server.port(), http("POST", "/v1/chat/completions", body,
                                                body.empty() ? "Content-Length: 0\r\n" : ""));
    EXPECT_EQ(reply.status, status) << body.substr(0, 120) << "\n" << reply.body.substr(0, 300);
    EXPECT_TRUE(reply.is_whole);
    if (reply.status != 200) {
      EXPECT_EQ(reply.error_field("type"), "invalid_request_error");
    }
    for (const char* path : {"/v1/completions", "/v1/messages", "/v1/responses", "/v1/embeddings",
                             "/tokenize", "/detokenize", "/v1/messages/count_tokens"}) {
      const int other =
          ask(server.port(), http("POST", path, body, body.empty() ? "Content-Length: 0\r\n" : ""))
              .status;
      EXPECT_TRUE(other == 200 || other == 400 || other == 413) << path << " " << other;
    }
  }
}

std::string token_prompt(int64_t count, std::string_view more) {
  return post("/v1/completions", fmt::format(R"({{"model":"","prompt":{},{}}})",
                                             list_of(static_cast<int>(count), "7"), more));
}

TEST(Fields, PromptsOfTheLengthOfTheContext) {
  FakeServer server(small_context());
  const auto status = [&](int64_t tokens, std::string_view more) {
    return ask(server.port(), token_prompt(tokens, more)).status;
  };
  EXPECT_EQ(status(kContext - 1, "\"max_tokens\":1"), 200);
  EXPECT_EQ(status(kContext, R"("max_tokens":0,"echo":true,"logprobs":1)"), 200);
  for (const char* more : {R"("max_tokens":1)", R"("max_tokens":2147483647)", R"("n":2)"}) {
    const Reply reply = ask(server.port(), token_prompt(kContext, more));
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.error_field("code"), "context_length_exceeded");
    EXPECT_EQ(reply.error_field("param"), "prompt");
    EXPECT_NE(reply.error_field("message").find("400"), std::string::npos);
  }
  EXPECT_EQ(status(kContext + 1, R"("max_tokens":0,"echo":true)"), 400);
  const Reply many = chat(server.port(), "Hi", R"("n":128,"max_tokens":2147483647)");
  EXPECT_EQ(many.status, 400);
  EXPECT_EQ(many.error_field("param"), "messages");
  EXPECT_EQ(chat(server.port(), "Hi", R"("n":128,"max_tokens":100)").status, 200);
}

TEST(Fields, PromptsWithoutTokensOrWithUnknownOnes) {
  FakeServer server(small_context());
  const std::string beyond = std::to_string(server.tokenizer().vocab_size());
  for (const std::string& prompt :
       {std::string(R"("")"), std::string("[]"), std::string(R"([""])"), std::string("[[]]"),
        std::string(R"(["x",""])"), "[" + beyond + "]", "[[1],[" + beyond + "]]",
        std::string("[-1]"), std::string("[2147483648]"), std::string("null")}) {
    const Reply reply =
        ask(server.port(), post("/v1/completions", R"({"model":"","prompt":)" + prompt + "}"));
    EXPECT_EQ(reply.status, 400) << prompt;
    EXPECT_TRUE(reply.error_field("param").starts_with("prompt")) << prompt << reply.body;
  }
  EXPECT_EQ(ask(server.port(), post("/v1/embeddings", R"({"model":"","input":""})")).status, 400);
  EXPECT_EQ(ask(server.port(), post("/detokenize", R"({"model":"","tokens":[2147483647]})")).status,
            200);
}

}  // namespace
}  // namespace hachi::server::testing
