// Goldens of nine families of tokenizers, made by Hugging Face's `tokenizers`: the same ids from
// tokenizer.json and from the GGUF metadata of the same tokenizer.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tokenizer/gguf_from_json.h"
#include "tokenizer/tokenizer.h"

namespace hachi::tokenizer {
namespace {

namespace json = boost::json;

const std::filesystem::path kFolder = std::filesystem::path(HACHI_REFERENCE_DIR) / "tokenizers";

struct Family {
  const char* name;
  const char* pre;  // tokenizer.ggml.pre; empty for SentencePiece
  int round_trips;  // of the goldens, how many texts decode to themselves
};

void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

std::string read_tokenizer(const std::string& family) {
  const std::filesystem::path file = kFolder / family / "tokenizer.json";
  if (std::filesystem::exists(file)) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string text;
  FILE* pipe = ::popen(("zstd -dc '" + file.string() + ".zst'").c_str(), "r");
  if (pipe == nullptr) return text;
  char block[1 << 16];
  while (const size_t count = std::fread(block, 1, sizeof(block), pipe)) text.append(block, count);
  ::pclose(pipe);
  return text;
}

struct Golden {
  std::string text;
  std::vector<TokenId> ids;
};

std::vector<Golden> read_goldens(const std::string& family) {
  std::vector<Golden> goldens;
  std::ifstream in(kFolder / ("goldens-" + family + ".jsonl"));
  for (std::string line; std::getline(in, line);) {
    const json::value value = json::parse(line);
    Golden golden;
    golden.text = value.at("text").as_string();
    for (const json::value& id : value.at("ids").as_array()) {
      golden.ids.push_back(static_cast<TokenId>(id.as_int64()));
    }
    goldens.push_back(std::move(golden));
  }
  return goldens;
}

std::string stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  StreamDecoder decoder(tokenizer, false);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

class Goldens : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    goldens_ = read_goldens(GetParam().name);
    if (goldens_.empty()) GTEST_SKIP() << "the goldens of real tokenizers are not here; skipped";
    json_ = read_tokenizer(GetParam().name);
    ASSERT_FALSE(json_.empty()) << "tokenizer.json could not be read (is zstd installed?)";
  }
  void check(const Tokenizer& tokenizer) {
    int round_trips = 0;
    for (const Golden& golden : goldens_) {
      ASSERT_EQ(tokenizer.encode(golden.text), golden.ids) << golden.text;
      const std::string decoded = tokenizer.decode(golden.ids);
      EXPECT_EQ(stream(tokenizer, golden.ids), decoded);
      round_trips += decoded == golden.text;
    }
    EXPECT_EQ(round_trips, GetParam().round_trips);
  }
  std::vector<Golden> goldens_;
  std::string json_;
};

TEST_P(Goldens, FromJson) {
  const auto tokenizer = Tokenizer::from_json(json_);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  check(*tokenizer);
}

TEST_P(Goldens, FromGguf) {
  json::monotonic_resource memory;
  const json::value document = json::parse(json_, &memory);
  std::deque<std::string> storage;
  const auto tokenizer =
      Tokenizer::from_gguf(gguf_from_json(document.as_object(), GetParam().pre, storage));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  check(*tokenizer);
}

std::string family_name(const testing::TestParamInfo<Family>& family) {
  std::string name = family.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    Families, Goldens,
    testing::Values(Family{"qwen3", "qwen2", 196}, Family{"deepseek-r1-0528-qwen3", "qwen2", 196},
                    Family{"deepseek-v3", "deepseek-v3", 200}, Family{"llama3", "llama-bpe", 200},
                    Family{"mistral", "", 194}, Family{"llama2", "", 191}, Family{"phi3", "", 192},
                    Family{"gemma", "", 198}, Family{"gemma3", "", 198}),
    family_name);

}  // namespace
}  // namespace hachi::tokenizer
