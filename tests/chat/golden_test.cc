// Conversations rendered by the models' own templates, against what the reference implementation
// made of them.
#include <filesystem>
#include <fstream>
#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "chat/chat_template.h"
#include "core/files.h"

namespace hachi::chat {
namespace {

const std::filesystem::path kReference = HACHI_REFERENCE_DIR;
const std::filesystem::path kData = std::filesystem::path(HACHI_TEST_DIR) / "chat" / "data";

std::string read(const std::filesystem::path& path) {
  auto text = read_file(path, 64 << 20);
  return text ? *std::move(text) : std::string();
}

std::string text(const boost::json::value& value) {
  return {value.get_string().data(), value.get_string().size()};
}

// The text of a special token in a tokenizer_config.json: a string, or an object with "content".
std::string token_text(const boost::json::object& config, std::string_view name) {
  const boost::json::value* token = config.if_contains(name);
  if (!token || token->is_null()) return {};
  return text(token->is_object() ? token->get_object().at("content") : *token);
}

struct Family {
  std::string source;
  std::string bos;
  std::string eos;
};

Family family(const std::string& name) {
  if (name == "deepseek-r1-0528-qwen3") {
    return {read(kData / "deepseek-r1-0528.jinja"), "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>"};
  }
  const auto path = kReference / "tokenizers" / name / "tokenizer_config.json";
  const boost::json::object config = boost::json::parse(read(path)).get_object();
  return {text(config.at("chat_template")), token_text(config, "bos_token"),
          token_text(config, "eos_token")};
}

RenderInput input_of(const boost::json::object& row, const Family& family) {
  RenderInput input;
  input.messages = row.at("messages").get_array();
  if (const auto* tools = row.if_contains("tools")) input.tools = tools->get_array();
  input.add_generation_prompt = row.at("add_generation_prompt").get_bool();
  if (const auto* thinking = row.if_contains("enable_thinking")) {
    input.enable_thinking = thinking->get_bool();
  }
  input.bos_token = family.bos;
  input.eos_token = family.eos;
  return input;
}

TEST(Golden, PromptsAreThoseOfTheReference) {
  std::ifstream rows(kReference / "chat-goldens.jsonl");
  if (!rows) GTEST_SKIP() << "no chat-goldens.jsonl in " << kReference << ": goldens skipped";
  size_t num_prompts = 0;
  size_t num_refused = 0;
  for (std::string line; std::getline(rows, line);) {
    const boost::json::object row = boost::json::parse(line).get_object();
    const std::string name = text(row.at("family"));
    SCOPED_TRACE(name + ": " + text(row.at("case")));
    const Family made_by = family(name);
    const auto parsed = ChatTemplate::parse(made_by.source);
    ASSERT_TRUE(parsed) << parsed.error().message;
    const auto prompt = parsed->render(input_of(row, made_by));
    if (const auto* error = row.if_contains("error")) {
      ++num_refused;
      ASSERT_FALSE(prompt);
      EXPECT_NE(prompt.error().message.find(text(*error)), std::string::npos)
          << prompt.error().message;
      continue;
    }
    ++num_prompts;
    ASSERT_TRUE(prompt) << prompt.error().message;
    EXPECT_EQ(prompt->text, text(row.at("prompt")));
  }
  EXPECT_EQ(num_prompts + num_refused, 64u);
}

}  // namespace
}  // namespace hachi::chat
