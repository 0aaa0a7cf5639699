// A model's template, tools and all, through the tokenizer.
#include "chat/prompter.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "chat/families.h"
#include "core/files.h"
#include "tokenizer/data_folder.h"

namespace hachi::chat {
namespace {

const std::filesystem::path kData = std::filesystem::path(HACHI_TEST_DIR) / "chat" / "data";

std::string deepseek() { return *read_file(kData / "deepseek-r1-0528.jinja", 1 << 20); }

struct Opened {
  explicit Opened(const std::string& source)
      : tokenizer(*tokenizer::Tokenizer::open(tokenizer::data_folder() / "qwen.json")),
        prompter(*Prompter::open(formats::Checkpoint::in_memory({"test", {}, {}, {}}), tokenizer,
                                 source)) {}
  std::string text(std::optional<bool> enable_thinking, bool add_generation_prompt = true) const {
    RenderInput input;
    input.messages = {{{"role", "user"}, {"content", "Hi"}}};
    input.enable_thinking = enable_thinking;
    input.add_generation_prompt = add_generation_prompt;
    const auto prompt = prompter.prompt(tokenizer, std::move(input));
    EXPECT_TRUE(prompt) << prompt.error().message;
    EXPECT_EQ(tokenizer.decode(prompt->tokens), prompt->text);
    return prompt->text;
  }

  tokenizer::Tokenizer tokenizer;
  Prompter prompter;
};

TEST(Prompter, SwitchesThinkingOffWhereTheTemplateCannot) {
  const Opened r1(deepseek());
  EXPECT_TRUE(r1.prompter.thinks());
  EXPECT_TRUE(r1.text(std::nullopt).ends_with("<｜Assistant｜>"));
  EXPECT_TRUE(r1.text(true).ends_with("<｜Assistant｜>"));
  EXPECT_TRUE(r1.text(false).ends_with("<｜Assistant｜><think>\n\n</think>\n\n"));
  EXPECT_TRUE(r1.text(false, false).ends_with("<｜Assistant｜>"));

  // One that opens the thinking itself, one that has a switch, one that knows no thinking.
  const Opened opens("{{ messages[0].content }}A<think>\n{# </think> #}");
  EXPECT_EQ(opens.text(false), "HiA<think>\n\n</think>\n\n");
  const Opened switched(
      "{{ messages[0].content }}{% if enable_thinking is false %}A</think>"
      "{% endif %}");
  EXPECT_EQ(switched.text(false), "HiA</think>");
  const Opened plain("{{ messages[0].content }}A");
  EXPECT_FALSE(plain.prompter.thinks());
  EXPECT_EQ(plain.text(false), "HiA");
}

TEST(Prompter, MovesTheSystemMessageIntoTheUsersTurn) {
  const auto text = [](const Opened& opened, bool in_user, boost::json::array messages) {
    RenderInput input;
    input.messages = std::move(messages);
    input.system_in_user = in_user;
    const auto prompt = opened.prompter.prompt(opened.tokenizer, std::move(input));
    return prompt ? prompt->text : prompt.error().message;
  };
  const boost::json::object system = {{"role", "system"}, {"content", "Be brief."}};
  const boost::json::object user = {{"role", "user"}, {"content", "Hi"}};
  const boost::json::object assistant = {{"role", "assistant"}, {"content", "Hello"}};
  const Opened writes("{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}");
  EXPECT_EQ(text(writes, false, {system, user}), "system:Be brief.;user:Hi;");
  EXPECT_EQ(text(writes, true, {system, user}), "user:Be brief.\n\nHi;");
  EXPECT_EQ(text(writes, true, {user, assistant}), "user:Hi;assistant:Hello;");
  EXPECT_EQ(text(writes, true, {system, assistant}), "user:Be brief.;assistant:Hello;");
  EXPECT_EQ(text(writes, true, {system}), "user:Be brief.;");
  // As Gemma's template does, and as one that leaves it out.
  const Opened refuses(
      "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
      "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}");
  EXPECT_EQ(text(refuses, false, {system, user}), "user:Be brief.\n\nHi;");
  const Opened skips(
      "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}");
  EXPECT_EQ(text(skips, false, {system, user}), "Be brief.\n\nHi");
}

TEST(Prompter, TellsOfToolsThatTheTemplateLeavesOut) {
  const Opened r1(deepseek());
  EXPECT_EQ(r1.prompter.tool_format().style, ToolStyle::kDeepSeek);
  RenderInput input;
  input.messages = {{{"role", "user"}, {"content", "Hi"}}};
  const boost::json::object function = {{"name", "look_up"}};
  input.tools = {{{"type", "function"}, {"function", function}}};
  const auto prompt = r1.prompter.prompt(r1.tokenizer, std::move(input));
  ASSERT_TRUE(prompt);
  EXPECT_NE(prompt->text.find("look_up"), std::string::npos);
  EXPECT_NE(prompt->text.find("<｜tool▁calls▁begin｜>"), std::string::npos);
}

}  // namespace
}  // namespace hachi::chat
