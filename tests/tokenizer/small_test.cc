// The repository's own small tokenizers (data/make_data.py): every component, against what Hugging
// Face's `tokenizers` gives for the same files.
#include <deque>
#include <filesystem>
#include <fstream>
#include <thread>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/utf8.h"
#include "tokenizer/data_folder.h"
#include "tokenizer/gguf_from_json.h"
#include "tokenizer/tokenizer.h"

namespace hachi::tokenizer {
namespace {

namespace json = boost::json;

std::vector<TokenId> ids_of(const json::value& list) {
  std::vector<TokenId> ids;
  for (const json::value& id : list.as_array()) ids.push_back(static_cast<TokenId>(id.as_int64()));
  return ids;
}

std::string stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string text;
  for (const TokenId id : ids) {
    const std::string part = decoder.push(id);
    EXPECT_TRUE(is_utf8(part));
    text += part;
  }
  return text + decoder.finish();
}

class Small : public testing::TestWithParam<const char*> {};

TEST_P(Small, GivesTheReferencesIds) {
  const auto tokenizer = Tokenizer::open(data_folder() / (std::string(GetParam()) + ".json"));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  std::ifstream in(data_folder() / (std::string(GetParam()) + ".jsonl"));
  int rows = 0;
  for (std::string line; std::getline(in, line); ++rows) {
    const json::value row = json::parse(line);
    const std::string text(row.at("text").as_string());
    const std::vector<TokenId> whole = ids_of(row.at("with_special"));
    EXPECT_EQ(tokenizer->encode(text), ids_of(row.at("ids"))) << text;
    EXPECT_EQ(tokenizer->encode(text, {.add_special = true}), whole) << text;
    EXPECT_EQ(tokenizer->encode(text, {.parse_special = false}), ids_of(row.at("plain"))) << text;
    // Since version 0.23 the reference decodes an added token that is looked for in normalized text
    // to its normalized text, a marker before it; here it decodes to its own text.
    if (GetParam() == std::string_view("llama2") && text.find("Größe") != std::string::npos) {
      continue;
    }
    EXPECT_EQ(tokenizer->decode(whole), row.at("decoded").as_string()) << text;
    EXPECT_EQ(tokenizer->decode(whole, true), row.at("without_special").as_string()) << text;
    EXPECT_EQ(stream(*tokenizer, whole, false), row.at("decoded").as_string()) << text;
    EXPECT_EQ(stream(*tokenizer, whole, true), row.at("without_special").as_string()) << text;
  }
  EXPECT_GT(rows, 50);
}

INSTANTIATE_TEST_SUITE_P(Files, Small,
                         testing::Values("qwen", "llama3", "deepseek", "smollm", "prefix_space",
                                         "regex", "llama2", "gemma", "metaspace", "unknown",
                                         "fused", "dropped"));

// Texts whose added tokens have flags that GGUF has no field for are left out.
bool has_flagged_token(std::string_view text) {
  for (const char* token : {"<|end|>", "</tool>", "word", "Größe"}) {
    if (text.find(token) != std::string_view::npos) return true;
  }
  return false;
}

TEST(SmallGguf, GivesTheSameIds) {
  constexpr std::pair<const char*, const char*> kFiles[] = {
      {"qwen", "qwen2"},    {"llama3", "llama-bpe"},
      {"llama3", "llama3"}, {"deepseek", "deepseek-v3"},
      {"smollm", "smollm"}, {"llama2", ""},
      {"gemma", ""}};
  for (const auto& [name, pre] : kFiles) {
    std::ifstream file(data_folder() / (std::string(name) + ".json"));
    json::value document = json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
    // The flags of Phi-3 would be set for all tokens otherwise.
    for (json::value& token : document.at("added_tokens").as_array()) {
      token.as_object()["rstrip"] = false;
    }
    std::deque<std::string> storage;
    const auto tokenizer = Tokenizer::from_gguf(gguf_from_json(document.as_object(), pre, storage));
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    std::ifstream in(data_folder() / (std::string(name) + ".jsonl"));
    for (std::string line; std::getline(in, line);) {
      const json::value row = json::parse(line);
      const std::string text(row.at("text").as_string());
      if (has_flagged_token(text)) continue;
      const std::vector<TokenId> ids = ids_of(row.at("ids"));
      EXPECT_EQ(tokenizer->encode(text), ids) << name << ": " << text;
    }
  }
}

TEST(SmallFolder, NamesTheTokensThatBeginAndEnd) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "hachi-tokenizer-folder";
  fs::create_directories(folder);
  fs::copy_file(data_folder() / "llama2.json", folder / "tokenizer.json",
                fs::copy_options::overwrite_existing);
  fs::remove(folder / "tokenizer_config.json");
  const auto plain = Tokenizer::open(folder);
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_FALSE(plain->eos());
  const auto config = [&](std::string_view text) {
    std::ofstream(folder / "tokenizer_config.json") << text;
    return Tokenizer::open(folder);
  };
  const auto named = config(R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>"})");
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_EQ(named->bos(), named->id("<s>"));
  ASSERT_TRUE(named->eos());
  EXPECT_EQ(named->eos(), named->id("</s>"));
  const auto broken = config("[");
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("tokenizer_config.json"), std::string::npos);
  fs::remove_all(folder);
}

TEST(SmallThreads, ShareOneTokenizer) {
  const auto tokenizer = Tokenizer::open(data_folder() / "qwen.json");
  ASSERT_TRUE(tokenizer);
  std::string text;
  for (int i = 0; i < 500; ++i) text += "word" + std::to_string(i * i) + " tokens <s>\n";
  const std::vector<TokenId> expected = tokenizer->encode(text);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) EXPECT_EQ(tokenizer->encode(text), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace hachi::tokenizer
