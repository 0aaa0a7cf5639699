// The tiny models of tests/golden/models (see make_model_goldens.py), for tests.
#pragma once

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/files.h"
#include "model/model.h"

namespace hachi::testing {

struct GoldenModel {
  std::shared_ptr<const formats::Checkpoint> checkpoint;
  std::unique_ptr<model::Model> model;
  std::vector<int32_t> prompt;
  std::vector<int32_t> greedy;  // the 64 that follow
  std::vector<float> logits;    // [prompt, vocab] by Transformers, in float32
};

inline constexpr const char* kGoldenModels[] = {"qwen3-f32", "qwen3-yarn-bf16", "llama3-f32",
                                                "llama-bf16"};

inline std::vector<int32_t> ids_of(const boost::json::value& list) {
  std::vector<int32_t> ids;
  for (const auto& id : list.as_array()) ids.push_back(static_cast<int32_t>(id.as_int64()));
  return ids;
}

// Transformers does not know DeepSeek's YaRN key, so the goldens are made without it.
inline GoldenModel open_golden(const std::string& name) {
  const std::filesystem::path folder =
      std::filesystem::path(HACHI_TEST_DIR) / "golden/models" / name;
  GoldenModel golden;
  auto checkpoint = formats::Checkpoint::open(folder);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  if (!checkpoint) return golden;
  golden.checkpoint = std::make_shared<const formats::Checkpoint>(*std::move(checkpoint));
  auto model = model::Model::load(golden.checkpoint,
                                  {.yarn_magnitude = model::YarnMagnitude::kTransformers});
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return golden;
  golden.model = std::make_unique<model::Model>(*std::move(model));
  const auto prompt = boost::json::parse(*read_file(folder / "prompt.json", 1 << 20));
  golden.prompt = ids_of(prompt.at("prompt"));
  golden.greedy = ids_of(prompt.at("greedy"));
  const std::string bytes = *read_file(folder / "logits.f32", 1 << 20);
  golden.logits.resize(bytes.size() / sizeof(float));
  std::memcpy(golden.logits.data(), bytes.data(), bytes.size());
  return golden;
}

}  // namespace hachi::testing
