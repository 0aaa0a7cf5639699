// What the tokenizer promises beside the reference's ids: text from users, text that is not UTF-8,
// streams, and files that are wrong.
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <deque>
#include <fstream>
#include <functional>
#include <random>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/utf8.h"
#include "tokenizer/bpe.h"
#include "tokenizer/data_folder.h"
#include "tokenizer/gguf_from_json.h"

namespace hachi::tokenizer {
namespace {

namespace json = boost::json;

std::string read_data(const std::string& name) {
  std::ifstream in(data_folder() / name);
  return {std::istreambuf_iterator<char>(in), {}};
}

Tokenizer open_small(const std::string& name) {
  auto tokenizer = Tokenizer::from_json(read_data(name + ".json"));
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return *std::move(tokenizer);
}

int count_special(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  return static_cast<int>(
      std::count_if(ids.begin(), ids.end(), [&](TokenId id) { return tokenizer.is_special(id); }));
}

TEST(Plain, HidesSpecialTokensThatTouchIt) {
  for (const char* name : {"qwen", "llama2", "deepseek"}) {
    const Tokenizer tokenizer = open_small(name);
    const std::string text = "<s>a<s>b<tool>c</s>";
    const auto specials = [&](std::vector<TextRange> plain) {
      return count_special(tokenizer, tokenizer.encode(text, {.plain = plain}));
    };
    EXPECT_EQ(specials({}), 3) << name;
    EXPECT_EQ(specials({{3, 8}}), 2) << name;  // around the second
    EXPECT_EQ(specials({{0, text.size()}}), 0) << name;
    EXPECT_EQ(specials({{0, 1}, {6, 7}}), 1) << name;   // one byte of the first two
    EXPECT_EQ(specials({{3, 4}, {7, 15}}), 3) << name;  // between them only
    const std::vector<TextRange> all = {{0, text.size()}};
    EXPECT_EQ(tokenizer.encode(text, {.plain = all}),
              tokenizer.encode(text, {.parse_special = false}))
        << name;
    const std::vector<TokenId> ids = tokenizer.encode(text, {.plain = all});
    EXPECT_NE(std::find(ids.begin(), ids.end(), *tokenizer.id("<tool>")), ids.end()) << name;
  }
}

TEST(Plain, RangesMoveWithReplacedBytes) {
  const Tokenizer tokenizer = open_small("qwen");
  const std::string text = "\xFF\xFF<s>\xE2\x82<s>\xFF";
  const std::vector<TextRange> second = {{7, 10}};
  const std::vector<TokenId> ids = tokenizer.encode(text, {.plain = second});
  EXPECT_EQ(count_special(tokenizer, ids), 1);
  EXPECT_EQ(tokenizer.decode(ids), "\uFFFD\uFFFD<s>\uFFFD<s>\uFFFD");
}

TEST(Plain, AShorterSpecialTokenOutsideStillCounts) {
  json::value document = json::parse(read_data("qwen.json"));
  json::object longer = document.at("added_tokens").at(0).as_object();
  longer["content"] = "<s>user";
  longer["id"] = 5000;
  document.at("added_tokens").as_array().push_back(longer);
  const auto tokenizer = Tokenizer::from_json(json::serialize(document));
  ASSERT_TRUE(tokenizer);
  const std::vector<TextRange> user = {{3, 7}};
  EXPECT_EQ(tokenizer->encode("<s>user"), std::vector<TokenId>{5000});
  EXPECT_EQ(tokenizer->encode("<s>user", {.plain = user})[0], *tokenizer->id("<s>"));
}

TEST(Encode, ReplacesWhatIsNotUtf8) {
  for (const char* name : {"qwen", "llama2", "unknown"}) {
    const Tokenizer tokenizer = open_small(name);
    EXPECT_EQ(tokenizer.encode("a\xC0\x80 \xED\xA0\x80 \xF0\x9F\x98"),
              tokenizer.encode("a\uFFFD\uFFFD \uFFFD\uFFFD\uFFFD \uFFFD"))
        << name;
  }
}

// Long pieces go through a heap, short ones through a scan; the piece before the cut decides.
TEST(Encode, LongPiecesAreCutInTime) {
  const Tokenizer tokenizer = open_small("qwen");
  const std::string text(Bpe::kMaxPieceBytes + 10, 'a');
  const std::vector<TokenId> ids = tokenizer.encode(text);
  EXPECT_EQ(tokenizer.decode(ids), text);
}

TEST(Stream, HoldsBackHalfCharactersOnly) {
  const Tokenizer bytes = open_small("smollm");
  StreamDecoder decoder(bytes, false);
  const std::vector<TokenId> smile = bytes.encode("\U0001F600");
  ASSERT_EQ(smile.size(), 4u);
  EXPECT_EQ(decoder.push(smile[0]), "");
  EXPECT_EQ(decoder.push(smile[1]), "");
  EXPECT_EQ(decoder.push(smile[2]), "");
  EXPECT_EQ(decoder.push(smile[3]), "\U0001F600");
  EXPECT_EQ(decoder.push(smile[0]), "");
  EXPECT_EQ(decoder.push(*bytes.id("a")), "\uFFFDa");
  EXPECT_EQ(decoder.push(smile[0]), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");

  const Tokenizer pieces = open_small("llama2");
  StreamDecoder second(pieces, true);
  EXPECT_EQ(second.push(*pieces.id("<s>")), "");
  EXPECT_EQ(second.push(*pieces.id("\u2581")), "");  // the space that encoding adds
  EXPECT_EQ(second.push(*pieces.id("\u2581")), " ");
  EXPECT_EQ(second.push(*pieces.id("<0xC3>")), "");
  EXPECT_EQ(second.push(*pieces.id("<0x9F>")), "");
  EXPECT_EQ(second.push(*pieces.id("a")), "\u00DFa");
  EXPECT_EQ(second.push(*pieces.id("<0xC3>")), "");
  EXPECT_EQ(second.finish(), "\uFFFD");
}

TEST(Stream, EqualsDecodeForAnyIds) {
  std::mt19937 random(5);
  for (const char* name : {"qwen", "llama2", "gemma", "metaspace", "unknown"}) {
    const Tokenizer tokenizer = open_small(name);
    for (int i = 0; i < 2000; ++i) {
      std::vector<TokenId> ids(random() % 12);
      for (TokenId& id : ids) {
        id = static_cast<TokenId>(random() % static_cast<uint32_t>(tokenizer.vocab_size() + 5)) - 2;
      }
      const bool skip = i % 2 == 0;
      StreamDecoder decoder(tokenizer, skip);
      std::string text;
      for (const TokenId id : ids) text += decoder.push(id);
      text += decoder.finish();
      ASSERT_EQ(text, tokenizer.decode(ids, skip)) << name;
    }
  }
}

TEST(Tokens, AreFoundByTextAndId) {
  const Tokenizer tokenizer = open_small("llama2");
  EXPECT_EQ(tokenizer.bos(), tokenizer.id("<s>"));
  EXPECT_EQ(tokenizer.eos(), std::nullopt);
  EXPECT_EQ(tokenizer.token(*tokenizer.id("<0x41>")), "<0x41>");
  EXPECT_EQ(tokenizer.token_bytes(*tokenizer.id("<0x41>")), "A");
  EXPECT_EQ(tokenizer.token_bytes(*tokenizer.id("\u2581")), " ");
  EXPECT_EQ(tokenizer.token_bytes(*tokenizer.id("<s>")), "");
  EXPECT_EQ(tokenizer.id("no such token"), std::nullopt);
  for (const TokenId id : {-1, tokenizer.vocab_size(), INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer.token(id), "");
    EXPECT_EQ(tokenizer.token_bytes(id), "");
    EXPECT_FALSE(tokenizer.is_special(id));
    EXPECT_EQ(tokenizer.decode({&id, 1}), "");
  }
  EXPECT_EQ(open_small("regex").eos(), open_small("regex").id("</s>"));
}

// One change to a right file, and what the error says about it.
struct Wrong {
  const char* why;
  std::function<void(json::object&)> change;
};

TEST(FromJson, SaysWhatIsWrong) {
  const auto model = [](json::object& root) -> json::object& { return root["model"].as_object(); };
  const auto component = [](const char* name, const char* text) {
    return [=](json::object& root) { root[name] = json::parse(text); };
  };
  const std::vector<Wrong> wrongs = {
      {"no 'model'", [](json::object& root) { root.erase("model"); }},
      {"'model' of the file is not an object", component("model", "[1]")},
      {"Unigram", [&](json::object& root) { model(root)["type"] = "Unigram"; }},
      {"no 'vocab'", [&](json::object& root) { model(root).erase("vocab"); }},
      {"no 'merges'", [&](json::object& root) { model(root).erase("merges"); }},
      {"id of token 'x1'",
       [&](json::object& root) { model(root)["vocab"].as_object()["x1"] = -1; }},
      {"id of token 'x2'",
       [&](json::object& root) { model(root)["vocab"].as_object()["x2"] = 1e9; }},
      {"id of token 'x3'",
       [&](json::object& root) { model(root)["vocab"].as_object()["x3"] = int64_t{1} << 40; }},
      {"id 7 belongs to two tokens",
       [&](json::object& root) { model(root)["vocab"].as_object()["x4"] = 7; }},
      {"names a token that is not in the vocabulary",
       [&](json::object& root) {
         model(root)["merges"].as_array().push_back({"a", "\u00FFz"});
       }},
      {"a merge is neither",
       [&](json::object& root) { model(root)["merges"].as_array().push_back(1); }},
      {"not two tokens",
       [&](json::object& root) { model(root)["merges"].as_array().push_back("a b c"); }},
      {"unk_token", [&](json::object& root) { model(root)["unk_token"] = "nowhere"; }},
      {"dropout", [&](json::object& root) { model(root)["dropout"] = 0.1; }},
      {"end_of_word_suffix",
       [&](json::object& root) { model(root)["end_of_word_suffix"] = "</w>"; }},
      {"'byte_fallback' of model", [&](json::object& root) { model(root)["byte_fallback"] = 1; }},
      {"added_tokens", component("added_tokens", "[3]")},
      {"no 'content'", component("added_tokens", "[{\"id\": 1}]")},
      {"normalizer 'Lowercase'", component("normalizer", R"({"type": "Lowercase"})")},
      {"normalizer 'NFKC'",
       component("normalizer", R"({"type": "Sequence", "normalizers": [{"type": "NFKC"}]})")},
      {"Replace with a Regex",
       component("normalizer", R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": ""})")},
      {"pattern of a normalizer is empty",
       component("normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})")},
      {"pre_tokenizer 'Whitespace'", component("pre_tokenizer", R"({"type": "Whitespace"})")},
      {"PCRE2",
       component("pre_tokenizer",
                 R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})")},
      {"behavior",
       component("pre_tokenizer",
                 R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Odd"})")},
      {"after ByteLevel", component("pre_tokenizer", R"({"type": "Sequence", "pretokenizers":
          [{"type": "ByteLevel"}, {"type": "Digits"}]})")},
      {"post_processor 'BertProcessing'",
       component("post_processor", R"({"type": "BertProcessing"})")},
      {"not declared", component("post_processor", R"({"type": "TemplateProcessing", "single":
          [{"SpecialToken": {"id": "<x>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {}})")},
      {"decoder 'WordPiece'", component("decoder", R"({"type": "WordPiece"})")},
  };
  const json::value right = json::parse(read_data("qwen.json"));
  for (const Wrong& wrong : wrongs) {
    json::value document = right;
    wrong.change(document.as_object());
    const auto tokenizer = Tokenizer::from_json(json::serialize(document));
    ASSERT_FALSE(tokenizer) << wrong.why;
    EXPECT_NE(tokenizer.error().message.find(wrong.why), std::string::npos)
        << wrong.why << " against: " << tokenizer.error().message;
  }
  EXPECT_FALSE(Tokenizer::from_json(""));
  EXPECT_FALSE(Tokenizer::from_json("[]"));
  EXPECT_FALSE(Tokenizer::from_json(std::string(100000, '[')));
}

TEST(FromJson, HolesInTheVocabularyAreNoTokens) {
  json::value document = json::parse(read_data("qwen.json"));
  document.at("model").at("vocab").as_object()["far"] = 9000;
  const auto tokenizer = Tokenizer::from_json(json::serialize(document));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->vocab_size(), 9001);
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{8999, 9000}), "far");
}

TEST(FromGguf, SaysWhatIsWrong) {
  const json::value document = json::parse(read_data("qwen.json"));
  std::deque<std::string> storage;
  const formats::Metadata right = gguf_from_json(document.as_object(), "qwen2", storage);
  const auto error = [&](std::string_view key, formats::Value value) -> std::string {
    formats::Metadata changed;
    for (const auto& [name, old] : right.entries()) {
      if (name != key) changed.add(name, old);
    }
    if (!std::holds_alternative<std::monostate>(value)) changed.add(key, std::move(value));
    const auto tokenizer = Tokenizer::from_gguf(changed);
    return tokenizer ? "" : tokenizer.error().message;
  };
  const formats::Value none;
  EXPECT_EQ(error("nothing", none), "");
  EXPECT_NE(error("tokenizer.ggml.model", none).find("no tokenizer"), std::string::npos);
  EXPECT_NE(error("tokenizer.ggml.model", std::string_view("gemma4")).find("'gemma4'"),
            std::string::npos);
  EXPECT_NE(error("tokenizer.ggml.pre", std::string_view("odd")).find("'odd'"), std::string::npos);
  EXPECT_NE(error("tokenizer.ggml.tokens", none).find("tokenizer.ggml.tokens"), std::string::npos);
  EXPECT_NE(error("tokenizer.ggml.merges", none).find("tokenizer.ggml.merges"), std::string::npos);
  EXPECT_NE(error("tokenizer.ggml.token_type", std::vector<int64_t>{1, 2}).find("token_type"),
            std::string::npos);
  EXPECT_NE(error("tokenizer.ggml.tokens", std::vector<std::string_view>{"a", "a"}), "");
  // As a SentencePiece vocabulary it lacks scores.
  EXPECT_NE(error("tokenizer.ggml.model", std::string_view("llama")).find("scores"),
            std::string::npos);
}

}  // namespace
}  // namespace hachi::tokenizer
