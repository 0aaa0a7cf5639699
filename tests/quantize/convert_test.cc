// Hugging Face folders as GGUF files: the same tokens and the same logits.
#include <fstream>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "formats/temp_folder.h"
#include "model/golden_models.h"
#include "quantize/plan.h"
#include "quantize/source.h"
#include "quantize/tokenizer_pairs.h"
#include "quantize/write_model.h"
#include "tokenizer/tokenizer.h"

namespace hachi::quantize {
namespace {

namespace fs = std::filesystem;
using formats::Checkpoint;
using formats::TempFolder;
using testing::GoldenModel;

std::shared_ptr<const Checkpoint> open(const fs::path& path) {
  auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return std::make_shared<const Checkpoint>(*std::move(checkpoint));
}

fs::path golden_folder(const std::string& name) {
  return fs::path(HACHI_TEST_DIR) / "golden/models" / name;
}

// Writes `from` as a GGUF file and opens that as a golden model with the same prompt.
GoldenModel converted(const GoldenModel& golden, const fs::path& path, std::string_view type) {
  auto source = open_source(golden.checkpoint);
  EXPECT_TRUE(source) << source.error().message;
  const auto plan = make_plan(*source, model::find_file_type(type), {}, true);
  EXPECT_TRUE(plan) << plan.error().message;
  ThreadPool pool(2);
  const auto written = write_model(*source, *plan, path, pool, {});
  EXPECT_TRUE(written) << written.error().message;
  EXPECT_EQ(*written, fs::file_size(path));
  GoldenModel result;
  result.prompt = golden.prompt;
  result.logits = golden.logits;
  result.checkpoint = open(path);
  auto model = model::Model::load(result.checkpoint, {.context = testing::kGoldenContext});
  EXPECT_TRUE(model) << model.error().message;
  if (model) result.model = std::make_unique<model::Model>(*std::move(model));
  return result;
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += std::pow(static_cast<double>(a[i] - b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(error / norm);
}

class Convert : public ::testing::TestWithParam<const char*> {};

TEST_P(Convert, GivesTheSameLogits) {
  const TempFolder folder;
  GoldenModel golden = testing::open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  // The converter follows the model's author where Transformers does not.
  golden.model = std::make_unique<model::Model>(
      *model::Model::load(golden.checkpoint, {.context = testing::kGoldenContext}));
  const GoldenModel gguf = converted(golden, folder.path() / "model.gguf", "F32");
  ASSERT_TRUE(gguf.model);
  const auto& before = golden.model->config();
  const auto& after = gguf.model->config();
  EXPECT_EQ(after.eos_ids, before.eos_ids);
  EXPECT_EQ(after.context_length, before.context_length);
  EXPECT_EQ(after.rope.theta, before.rope.theta);
  EXPECT_EQ(after.rope.divisors.empty(),
            before.rope.divisors.empty() && before.rope.scaling != model::RopeScaling::kLlama3);
  EXPECT_EQ(after.windows, before.windows);
  EXPECT_NEAR(after.rope.magnitude, before.rope.magnitude, 1e-6);
  const auto expected = testing::run_prompt(golden, ops::Device::kRef);
  EXPECT_LT(relative_error(testing::run_prompt(gguf, ops::Device::kRef), expected), 1e-5);
}

TEST_P(Convert, SmallerTypesComeNear) {
  const TempFolder folder;
  const GoldenModel golden = testing::open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  const auto expected = testing::run_prompt(golden, ops::Device::kRef);
  double before = 0;
  for (const char* type : {"BF16", "Q8_0", "Q4_0"}) {
    const GoldenModel gguf = converted(golden, folder.path() / "model.gguf", type);
    ASSERT_TRUE(gguf.model);
    const double error = relative_error(testing::run_prompt(gguf, ops::Device::kRef), expected);
    EXPECT_LT(error, 1) << type;
    EXPECT_GE(error, before) << type;
    before = error / 4;  // random models are no smooth scale: only that more bits are not far worse
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Convert, ::testing::ValuesIn(testing::kGoldenModels),
                         [](const auto& of) {
                           std::string name = of.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class ConvertPacked : public ::testing::TestWithParam<const char*> {};

TEST_P(ConvertPacked, ItsValuesGiveTheLogitsOfTransformers) {
  const TempFolder folder;
  const GoldenModel golden = testing::open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  const GoldenModel gguf = converted(golden, folder.path() / "model.gguf", "F32");
  ASSERT_TRUE(gguf.model);
  testing::expect_golden_logits(gguf, testing::run_prompt(gguf, ops::Device::kRef));
}

INSTANTIATE_TEST_SUITE_P(Golden, ConvertPacked, ::testing::ValuesIn(testing::kPackedModels));

// Rows are copied as they are, though GGUF has those of Llama's heads in another order.
TEST(Convert, KeepsTheTypesOfTheSource) {
  for (const std::string name :
       {"qwen3-gptq", "qwen3-awq", "qwen3-packed-8", "llama-bf16", "phi3-window-bf16"}) {
    const TempFolder folder;
    const GoldenModel golden = testing::open_golden(name);
    ASSERT_TRUE(golden.model);
    const GoldenModel gguf = converted(golden, folder.path() / "model.gguf", "");
    ASSERT_TRUE(gguf.model);
    const auto type = [&](const char* tensor) {
      return gguf.checkpoint->find(tensor)->data.dtype();
    };
    EXPECT_EQ(type("blk.0.ffn_down.weight"), name == "qwen3-gptq"       ? DType::kQ4_0
                                             : name == "qwen3-awq"      ? DType::kQ4_1
                                             : name == "qwen3-packed-8" ? DType::kQ8_0
                                                                        : DType::kBF16);
    const auto expected = testing::run_prompt(golden, ops::Device::kRef);
    EXPECT_LT(relative_error(testing::run_prompt(gguf, ops::Device::kRef), expected), 1e-6) << name;
  }
}

// A tokenizer.json of tests/tokenizer/data, with what its added tokens do to their surroundings or
// without.
std::string tokenizer_json(const std::string& name, bool keep_flags) {
  const fs::path path = fs::path(HACHI_TEST_DIR) / "tokenizer/data" / (name + ".json");
  auto document = boost::json::parse(*read_file(path, 1 << 20));
  for (auto& token : document.at("added_tokens").as_array()) {
    if (keep_flags) continue;
    for (const char* flag : {"lstrip", "rstrip", "single_word", "normalized"}) {
      token.as_object()[flag] = false;
    }
  }
  return boost::json::serialize(document);
}

// A folder that has it and the config of a golden model with room for its tokens.
Result<formats::GgufPairList> tokenizer_pairs(const std::string& json, const TempFolder& folder,
                                              tokenizer::Tokenizer& tokenizer) {
  folder.write("tokenizer.json", json);
  for (const char* file : {"config.json", "model.safetensors"}) {
    fs::copy_file(golden_folder("qwen3-f32") / file, folder.path() / file,
                  fs::copy_options::overwrite_existing);
  }
  const auto checkpoint = open(folder.path());
  TRY(tokenizer, tokenizer::Tokenizer::load(*checkpoint));
  TRY(model::ModelConfig config, model::read_config(*checkpoint, {}));
  config.vocab_size = tokenizer.vocab_size() + 7;
  config.eos_ids = {1, 2};
  formats::GgufPairList pairs;
  TRY(add_tokenizer_pairs(*checkpoint, config, pairs));
  return pairs;
}

struct TokenizerCase {
  const char* name;
  const char* model;  // null: GGUF has no words for it
  const char* pre;
};

class ConvertTokenizer : public ::testing::TestWithParam<TokenizerCase> {};

TEST_P(ConvertTokenizer, GivesTheSameTokensOrIsRefused) {
  const TempFolder folder;
  const std::string name = GetParam().name;
  const std::string json = tokenizer_json(name, false);
  tokenizer::Tokenizer source = *tokenizer::Tokenizer::from_json(json);
  const auto pairs = tokenizer_pairs(json, folder, source);
  if (GetParam().model == nullptr) {
    ASSERT_FALSE(pairs);
    EXPECT_EQ(pairs.error().code, Code::kUnsupported);
    EXPECT_NE(pairs.error().message.find("tokenizer.json"), std::string::npos);
    return;
  }
  ASSERT_TRUE(pairs) << pairs.error().message;
  const std::string header = gguf_header(*pairs, {});
  const auto gguf =
      formats::parse_gguf(std::as_bytes(std::span(header.data(), header.size())), "test");
  ASSERT_TRUE(gguf);
  EXPECT_EQ(*gguf->metadata.string("tokenizer.ggml.model"), GetParam().model);
  EXPECT_EQ(*gguf->metadata.string("tokenizer.ggml.pre"), GetParam().pre);
  const auto back = tokenizer::Tokenizer::from_gguf(gguf->metadata);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->vocab_size(), source.vocab_size());
  std::ifstream lines(fs::path(HACHI_TEST_DIR) / "tokenizer/data" / (name + ".jsonl"));
  int compared = 0;
  for (std::string line; std::getline(lines, line); ++compared) {
    const auto text = boost::json::value_to<std::string>(boost::json::parse(line).at("text"));
    for (const bool special : {false, true}) {
      const tokenizer::EncodeOptions options{.parse_special = special, .add_special = special};
      EXPECT_EQ(back->encode(text, options), source.encode(text, options)) << text;
    }
    EXPECT_EQ(back->decode(back->encode(text)), source.decode(source.encode(text))) << text;
  }
  EXPECT_GT(compared, 40);
}

INSTANTIATE_TEST_SUITE_P(Data, ConvertTokenizer,
                         ::testing::Values(TokenizerCase{"qwen", "gpt2", "qwen2"},
                                           TokenizerCase{"llama3", "gpt2", "llama-bpe"},
                                           TokenizerCase{"smollm", "gpt2", "smollm"},
                                           TokenizerCase{"deepseek", "gpt2", "deepseek-v3"},
                                           TokenizerCase{"llama2", "llama", "default"},
                                           TokenizerCase{"gemma", "llama", "default"},
                                           TokenizerCase{"regex", nullptr, nullptr},
                                           TokenizerCase{"prefix_space", nullptr, nullptr},
                                           TokenizerCase{"dropped", nullptr, nullptr}),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace hachi::quantize
