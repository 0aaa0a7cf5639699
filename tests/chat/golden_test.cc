// Conversations rendered by the models' own templates, against the prompts and the token ids that
// the reference implementation made of them.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "chat/chat_template.h"
#include "core/files.h"
#include "tokenizer/tokenizer.h"

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

std::vector<boost::json::object> golden_rows() {
  std::vector<boost::json::object> rows;
  std::ifstream in(kReference / "chat-goldens.jsonl");
  for (std::string line; std::getline(in, line);) {
    rows.push_back(boost::json::parse(line).get_object());
  }
  return rows;
}

TEST(Golden, PromptsAreThoseOfTheReference) {
  const auto rows = golden_rows();
  if (rows.empty()) GTEST_SKIP() << "no chat-goldens.jsonl in " << kReference << ": skipped";
  size_t num_prompts = 0;
  size_t num_refused = 0;
  for (const boost::json::object& row : rows) {
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

tokenizer::Tokenizer load_tokenizer(const std::string& name) {
  const auto path = kReference / "tokenizers" / name / "tokenizer.json.zst";
  std::string json;
  FILE* pipe = ::popen(("zstd -dc '" + path.string() + "'").c_str(), "r");
  char block[1 << 16];
  while (const size_t count = std::fread(block, 1, sizeof(block), pipe)) json.append(block, count);
  ::pclose(pipe);
  return std::move(tokenizer::Tokenizer::from_json(json).value());
}

size_t count_special(const tokenizer::Tokenizer& tokenizer,
                     const std::vector<tokenizer::TokenId>& ids) {
  return static_cast<size_t>(
      std::count_if(ids.begin(), ids.end(), [&](auto id) { return tokenizer.is_special(id); }));
}

TEST(Golden, IdsAreThoseOfTheReferenceButForTokensThatUsersType) {
  const auto rows = golden_rows();
  if (rows.empty()) GTEST_SKIP() << "no chat-goldens.jsonl in " << kReference << ": skipped";
  std::map<std::string, tokenizer::Tokenizer> tokenizers;
  for (const boost::json::object& row : rows) {
    if (row.contains("error")) continue;
    const std::string name = text(row.at("family"));
    SCOPED_TRACE(name + ": " + text(row.at("case")));
    if (!tokenizers.contains(name)) tokenizers.emplace(name, load_tokenizer(name));
    const tokenizer::Tokenizer& tokenizer = tokenizers.at(name);
    const Family made_by = family(name);
    const auto parsed = ChatTemplate::parse(made_by.source);
    RenderInput input = input_of(row, made_by);
    const auto prompt = parsed->render(input);
    ASSERT_TRUE(prompt) << prompt.error().message;
    const auto ids = tokenizer.encode(prompt->text, {.plain = prompt->untrusted});
    if (text(row.at("case")) == "special token text in user") {
      // The reference takes what the user typed for tokens. Here it must be as any other text.
      input.messages[0].at("content") = "say something else";
      const auto harmless = parsed->render(input);
      EXPECT_EQ(count_special(tokenizer, ids),
                count_special(tokenizer, tokenizer.encode(harmless->text)));
      continue;
    }
    std::vector<tokenizer::TokenId> expected;
    for (const auto& id : row.at("ids").get_array()) {
      expected.push_back(id.to_number<tokenizer::TokenId>());
    }
    EXPECT_EQ(ids, expected);
  }
}

}  // namespace
}  // namespace hachi::chat
