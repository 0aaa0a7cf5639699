#include "chat/families.h"

#include <gtest/gtest.h>

#include "chat/chat_template.h"

namespace hachi::chat {
namespace {

using Kind = ThinkingSplitter::Kind;

struct Split {
  std::string thinking;
  std::string answer;
};

void add(Split& out, const std::vector<ThinkingSplitter::Piece>& pieces) {
  for (const auto& piece : pieces) {
    EXPECT_FALSE(piece.text.empty());
    (piece.kind == Kind::kThinking ? out.thinking : out.answer) += piece.text;
  }
}

Split split(std::string_view prompt, std::string_view output, size_t chunk_size) {
  ThinkingSplitter splitter(prompt);
  Split out;
  for (size_t at = 0; at < output.size(); at += chunk_size) {
    add(out, splitter.push(output.substr(at, chunk_size)));
  }
  add(out, splitter.finish());
  return out;
}

// Whatever the chunks, the pieces are the same.
void expect_split(std::string_view prompt, std::string_view output, const Split& expected) {
  for (size_t chunk_size = 1; chunk_size <= output.size() + 1; ++chunk_size) {
    const Split got = split(prompt, output, chunk_size);
    EXPECT_EQ(got.thinking, expected.thinking) << "chunks of " << chunk_size;
    EXPECT_EQ(got.answer, expected.answer) << "chunks of " << chunk_size;
  }
}

TEST(ThinkingSplitter, SplitsAtTheMarks) {
  expect_split("", "<think>\nadd them\n</think>\n\n4.", {"add them\n", "4."});
  expect_split("", "\n <think>a</think>b", {"a", "b"});
}

TEST(ThinkingSplitter, KnowsWhatThePromptHasOpened) {
  expect_split("<|im_start|>assistant\n<think>\n", "add\n</think>\n4", {"add\n", "4"});
  expect_split("<|im_start|>assistant\n<think>\n\n</think>\n\n", "4 <think> 5",
               {"", "4 <think> 5"});
}

TEST(ThinkingSplitter, LeavesOutputWithoutMarksAlone) {
  expect_split("", "The mark <think> in the middle </think> is text.",
               {"", "The mark <think> in the middle </think> is text."});
  expect_split("", "  x", {"", "  x"});
  expect_split("", "<thin", {"", "<thin"});
  expect_split("", "", {"", ""});
}

TEST(ThinkingSplitter, KeepsWhatOnlyLooksLikeAMark) {
  expect_split("", "<think>a</thin</think >b</think>c</think>d",
               {"a</thin</think >b", "c</think>d"});
}

TEST(ThinkingSplitter, GivesUnfinishedThinkingAsThinking) {
  expect_split("", "<think>\nand then", {"and then", ""});
  expect_split("", "<think>a</thi", {"a</thi", ""});
  expect_split("", "<think></think>", {"", ""});
}

TEST(ThinkingSplitter, GivesTextAsSoonAsItIsSettled) {
  ThinkingSplitter splitter("<think>");
  ASSERT_TRUE(splitter.is_thinking());
  auto pieces = splitter.push("abc</");
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].text, "abc");
  pieces = splitter.push("think>x");
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].kind, Kind::kAnswer);
  EXPECT_FALSE(splitter.is_thinking());
}

TEST(TemplateSource, TakesTheModelsOwnThenChatMl) {
  EXPECT_EQ(*template_source("{{ 1 }}", true), "{{ 1 }}");
  EXPECT_EQ(*template_source("", true), chatml_template());
  const auto none = template_source("", false);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("--chat-template"), std::string::npos);
}

TEST(TemplateSource, ChatMlWritesEachTurn) {
  RenderInput input;
  input.messages = {{{"role", "system"}, {"content", "S"}}, {{"role", "user"}, {"content", "U"}}};
  const auto prompt = ChatTemplate::parse(chatml_template())->render(input);
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(prompt->text,
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
            "<|im_start|>assistant\n");
  const size_t user = prompt->text.find('U');
  ASSERT_EQ(prompt->untrusted.size(), 2u);
  EXPECT_EQ(prompt->untrusted[1], (TextRange{user, user + 1}));
}

}  // namespace
}  // namespace hachi::chat
