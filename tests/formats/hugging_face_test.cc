#include "formats/hugging_face.h"

#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "formats/gguf_bytes.h"
#include "formats/temp_folder.h"

namespace hachi::formats {
namespace {

namespace fs = std::filesystem;

// A file with one tensor of one element.
std::string one_tensor(std::string_view name, float value) {
  const auto header =
      fmt::format(R"({{"{}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}})", name);
  return safetensors_bytes(header, bytes_of(value));
}

std::string error_of(const fs::path& folder) {
  const auto opened = Checkpoint::open(folder);
  return opened ? "no error" : opened.error().message;
}

#define EXPECT_ERROR(expression, part) \
  EXPECT_NE((expression).find(part), std::string::npos) << (expression)

TEST(HuggingFace, OpensAFolder) {
  const TempFolder folder;
  folder.write("config.json", R"({"model_type": "qwen3", "rope_scaling": {"factor": 4.0}})");
  folder.write("generation_config.json", R"({"eos_token_id": [1, 2], "temperature": 0.6})");
  folder.write("tokenizer.json", "{}");
  folder.write("tokenizer_config.json", R"({"chat_template": "short", "bos_token": null})");
  folder.write("model.safetensors", one_tensor("w", 2.5f));
  const auto opened = Checkpoint::open(folder.path());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->kind(), Kind::kHuggingFace);
  EXPECT_EQ(**opened->metadata().string("model_type"), "qwen3");
  EXPECT_EQ(**opened->metadata().number("rope_scaling.factor"), 4.0);
  EXPECT_EQ(*opened->generation().integers("eos_token_id"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(opened->tokenizer_json(), "{}");
  EXPECT_EQ(opened->chat_template(), "short");
  EXPECT_EQ(opened->find("w")->data.as<float>()[0], 2.5f);
  EXPECT_EQ(opened->file_bytes(), fs::file_size(folder.path() / "model.safetensors"));
}

TEST(HuggingFace, FindsTheTemplate) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("any-name.safetensors", one_tensor("w", 1));
  EXPECT_FALSE(Checkpoint::open(folder.path())->chat_template());
  folder.write("tokenizer_config.json", R"({"chat_template": [
      {"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(Checkpoint::open(folder.path())->chat_template(), "d");
  for (const char* wrong : {"5", "[]", R"([{"name": "tools", "template": "t"}])", "{}"}) {
    folder.write("tokenizer_config.json", fmt::format(R"({{"chat_template": {}}})", wrong));
    EXPECT_ERROR(error_of(folder.path()), "neither a string nor a list");
  }
  folder.write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_FALSE(Checkpoint::open(folder.path())->chat_template());
  folder.write("chat_template.jinja", "\xFF");
  EXPECT_ERROR(error_of(folder.path()), "not UTF-8");
  folder.write("chat_template.jinja", "j");
  EXPECT_EQ(Checkpoint::open(folder.path())->chat_template(), "j");
  folder.write("chat_template.jinja", std::string((1 << 20) + 1, ' '));
  EXPECT_ERROR(error_of(folder.path()), "chat_template.jinja");
}

TEST(HuggingFace, NeedsConfigAndTensors) {
  const TempFolder folder;
  EXPECT_ERROR(error_of(folder.path()), "there is no config.json");
  folder.write("config.json", "{}");
  EXPECT_ERROR(error_of(folder.path()), "there is no *.safetensors");
  folder.write("a.safetensors", one_tensor("a", 1));
  EXPECT_EQ(error_of(folder.path()), "no error");
  folder.write("b.safetensors", one_tensor("b", 1));
  EXPECT_ERROR(error_of(folder.path()), "model.safetensors.index.json");
  EXPECT_ERROR(error_of(folder.path() / "a.safetensors"), "name the folder");
}

TEST(HuggingFace, RefusesWrongConfigs) {
  const TempFolder folder;
  folder.write("model.safetensors", one_tensor("w", 1));
  for (const char* text : {"", "{", "[]", "null", R"({"a": NaN})", R"({"a": 1, "a": 2})"}) {
    folder.write("config.json", text);
    EXPECT_ERROR(error_of(folder.path()), "config.json");
  }
  folder.write("config.json", "{\"a\": \"" + std::string(1 << 20, 'x') + "\"}");
  EXPECT_ERROR(error_of(folder.path()), "bytes, more than");
  folder.write("config.json", "{}");
  folder.write("generation_config.json", "[]");
  EXPECT_ERROR(error_of(folder.path()), "generation_config.json");
}

class HuggingFaceShards : public testing::Test {
 protected:
  HuggingFaceShards() {
    folder_.write("config.json", "{}");
    folder_.write("model-1.safetensors", one_tensor("a", 1));
    folder_.write("model-2.safetensors", one_tensor("b", 2));
  }
  std::string error_with_map(std::string_view map) {
    folder_.write("model.safetensors.index.json", fmt::format(R"({{"weight_map": {}}})", map));
    return error_of(folder_.path());
  }
  TempFolder folder_;
};

TEST_F(HuggingFaceShards, OpensAll) {
  ASSERT_EQ(error_with_map(R"({"b": "model-2.safetensors", "a": "model-1.safetensors"})"),
            "no error");
  const auto opened = Checkpoint::open(folder_.path());
  EXPECT_EQ(opened->tensors()[0].name, "a");
  EXPECT_EQ(opened->find("b")->data.as<float>()[0], 2.0f);
}

TEST_F(HuggingFaceShards, StayInTheFolder) {
  for (const char* name : {"../model-1.safetensors", "/tmp/model-1.safetensors", "..",
                           "sub/model.safetensors", "sub\\\\model.safetensors", ".safetensors",
                           "model\\u0000.safetensors", "config.json", ""}) {
    EXPECT_ERROR(error_with_map(fmt::format(R"({{"a": "{}"}})", name)), "of this folder");
  }
  EXPECT_ERROR(error_with_map(R"({"a": 1})"), "no file");
}

TEST_F(HuggingFaceShards, HoldWhatTheIndexSays) {
  EXPECT_ERROR(error_with_map(R"({"a": "model-9.safetensors"})"), "cannot open");
  EXPECT_ERROR(error_with_map(R"({"b": "model-1.safetensors"})"), "does not hold it");
  EXPECT_ERROR(error_with_map(R"({"a": "model-1.safetensors", "b": "model-1.safetensors"})"),
               "does not hold it");
  folder_.write("model-2.safetensors", one_tensor("a", 2));
  EXPECT_ERROR(error_with_map(R"({"a": "model-1.safetensors", "b": "model-2.safetensors"})"),
               "does not hold it");
  folder_.write("model-2.safetensors",
                safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                  R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                  std::string(8, 'x')));
  EXPECT_ERROR(error_with_map(R"({"a": "model-1.safetensors", "b": "model-2.safetensors"})"),
               "two tensors named 'a'");
  EXPECT_ERROR(error_with_map("{}"), "names 0 files");
  EXPECT_ERROR(error_with_map("[]"), "weight_map");
  EXPECT_ERROR(error_with_map(R"({"a": "model-1.safetensors", "a": "model-2.safetensors"})"),
               "twice");
}

}  // namespace
}  // namespace hachi::formats
