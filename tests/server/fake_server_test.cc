// The server's tests stand on these: the small tokenizer, the dictated answer, the way through
// HTTP.
#include "server/fake_server.h"

#include <gtest/gtest.h>

#include "server/http_talk.h"

namespace hachi::server::testing {
namespace {

TEST(SmallTokenizer, GoesThereAndBack) {
  const auto tokenizer = small_tokenizer();
  const std::string text = "the\n\nend \u201cand\u201d \u00f6 \U0001F600 1234";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_EQ(tokenizer.encode("<|im_end|>").size(), 1u);
  EXPECT_TRUE(tokenizer.is_special(*tokenizer.id(kEndMark)));
}

TEST(FakeServer, SaysWhatItIsTold) {
  FakeServer server;
  server.say("<think>\nhm\n</think>\n\nWell, \u201cthe\u201d end");
  const Reply whole = chat(server.port());
  ASSERT_EQ(whole.status, 200) << whole.body;
  const auto body = whole.json();
  const auto& choice = body.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("content").as_string(), "Well, \u201cthe\u201d end");
  EXPECT_EQ(choice.at("message").at("reasoning_content").as_string(), "hm\n");
  EXPECT_EQ(choice.at("finish_reason").as_string(), "stop");

  const Reply stream = chat(server.port(), "Hello", R"("stream":true)");
  EXPECT_TRUE(stream.is_whole);
  const StreamedChat streamed = read_stream(stream);
  ASSERT_EQ(streamed.choices.size(), 1u);
  EXPECT_EQ(streamed.choices[0].content, "Well, \u201cthe\u201d end");
  EXPECT_EQ(streamed.choices[0].reasoning, "hm\n");
  EXPECT_TRUE(streamed.is_done);
  EXPECT_NE(server.log_text().find("/v1/chat/completions"), std::string::npos);
}

}  // namespace
}  // namespace hachi::server::testing
