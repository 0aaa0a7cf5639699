// What the text cases cannot say: limits of the source, hostile nesting, input that is no JSON
// text, templates used twice and from several threads.
#include "chat/chat_template.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace hachi::chat {
namespace {

std::string repeated(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

Result<Prompt> render(std::string_view source, const RenderInput& input = {}) {
  TRY(const ChatTemplate parsed, ChatTemplate::parse(source));
  return parsed.render(input);
}

void expect_limit(const std::string& source, std::string_view message) {
  const auto prompt = render(source);
  ASSERT_FALSE(prompt) << source.substr(0, 60);
  EXPECT_EQ(prompt.error().code, Code::kLimit) << prompt.error().message;
  EXPECT_NE(prompt.error().message.find(message), std::string::npos) << prompt.error().message;
}

TEST(ChatTemplate, StopsDeepNesting) {
  constexpr size_t kDeep = 10'000;
  expect_limit("{{ " + repeated("(", kDeep) + repeated(")", kDeep) + " }}", "inside one another");
  expect_limit("{{ " + repeated("[", kDeep) + repeated("]", kDeep) + " }}", "inside one another");
  expect_limit("{{ " + repeated("{1:", kDeep) + repeated("}", kDeep) + " }}", "inside one another");
  expect_limit("{{ " + repeated("not ", kDeep) + "x }}", "inside one another");
  expect_limit("{{ " + repeated("-", kDeep) + "1 }}", "inside one another");
  expect_limit("{{ " + repeated("a if b else ", kDeep) + "c }}", "inside one another");
  expect_limit(repeated("{% if x %}", kDeep), "inside one another");
  expect_limit(repeated("{% for x in y %}", kDeep), "inside one another");
  expect_limit("{{ x" + repeated("[x", kDeep) + repeated("]", kDeep) + " }}", "inside one another");
}

TEST(ChatTemplate, StopsLongChains) {
  constexpr size_t kLong = 10'000;
  expect_limit("{{ 1" + repeated(" + 1", kLong) + " }}", "levels deep");
  expect_limit("{{ x" + repeated(" | trim", kLong) + " }}", "levels deep");
  expect_limit("{{ x" + repeated(".x", kLong) + " }}", "levels deep");
  expect_limit("{{ x" + repeated("()", kLong) + " }}", "levels deep");
  expect_limit("{{ x" + repeated(" and x", kLong) + " }}", "levels deep");
  expect_limit("{{ x" + repeated(" is defined", 1) + repeated(" ** 2", kLong) + " }}",
               "levels deep");
}

TEST(ChatTemplate, TakesWhatOnlyLooksDeep) {
  EXPECT_EQ(render("{{ 1" + repeated(" ~ 1", 5'000) + " }}")->text, repeated("1", 5'001));
  EXPECT_EQ(render("{{ 1" + repeated(" + 1", 150) + " }}")->text, "151");
  EXPECT_EQ(render("{{ " + repeated("(", 40) + "1" + repeated(")", 40) + " }}")->text, "1");
  EXPECT_EQ(render(repeated("{% if true %}", 80) + "x" + repeated("{% endif %}", 80))->text, "x");
  const std::string branches = repeated("{% elif false %}a", 5'000);
  EXPECT_EQ(render("{% if false %}" + branches + "{% else %}b{% endif %}")->text, "b");
}

TEST(ChatTemplate, StopsLargeSources) {
  expect_limit(repeated("x", 300'000), "above the limit");
  expect_limit(repeated("{{1}}", 52'000), "nodes");
  std::string keys;
  for (int i = 0; i < 30'000; ++i) keys += fmt::format("{}:1,", i);
  expect_limit(fmt::format("{{{{ {{{}}} }}}}", keys), "steps");
  expect_limit("{{ [" + repeated("0,", 120'000) + "] }}", "nodes");
}

TEST(ChatTemplate, StopsDeepMacroCalls) {
  const std::string nested = repeated("(", 30) + "f(n + 1)" + repeated(")", 30);
  expect_limit("{% macro f(n) %}{{ " + nested + " }}{% endmacro %}{{ f(0) }}", "recurses");
  const std::string chain = repeated("1 + ", 150) + "1";
  expect_limit("{% macro f(n) %}{{ f(" + chain + ") ~ f(n) }}{% endmacro %}{{ f(0) }}", "recurses");
}

TEST(ChatTemplate, StopsDeepInput) {
  boost::json::value deep = 1;
  for (int i = 0; i < 1000; ++i) deep = boost::json::array{deep};
  RenderInput input;
  input.extra["x"] = deep;
  const auto prompt = render("x", input);
  ASSERT_FALSE(prompt);
  EXPECT_EQ(prompt.error().code, Code::kLimit);
}

TEST(ChatTemplate, ReplacesBytesThatAreNotUtf8) {
  RenderInput input;
  input.messages = {{{"role", "user"},
                     {"content",
                      "a\xFF"
                      "b\xE4\xB8"}}};
  const auto prompt = render("{{ messages[0].content | upper }}", input);
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(prompt->text, "A\uFFFDB\uFFFD");
  EXPECT_FALSE(render("a\xFF"));
}

TEST(ChatTemplate, SeesThinkingOnlyIfItIsSet) {
  const std::string source = "{{ enable_thinking is defined }}{{ enable_thinking is false }}";
  RenderInput input;
  EXPECT_EQ(render(source, input)->text, "FalseFalse");
  input.enable_thinking = false;
  EXPECT_EQ(render(source, input)->text, "TrueTrue");
}

TEST(ChatTemplate, RefusesMessagesThatAreNotObjects) {
  RenderInput input;
  input.messages = {1};
  EXPECT_EQ(render("x", input).error().message, "messages[0] is not an object");
}

TEST(ChatTemplate, RendersTheSameFromSeveralThreads) {
  const auto parsed = ChatTemplate::parse(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
      "{{ m.role ~ ns.n ~ m.content }}{% endfor %}");
  ASSERT_TRUE(parsed) << parsed.error().message;
  RenderInput input;
  input.messages = {{{"role", "user"}, {"content", "a"}}, {{"role", "tool"}, {"content", "b"}}};
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) text = parsed->render(input)->text;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, "user1atool2b");
}

}  // namespace
}  // namespace hachi::chat
