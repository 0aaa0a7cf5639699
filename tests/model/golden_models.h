// The tiny models of tests/golden/models (see make_model_goldens.py), for tests.
#pragma once

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
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
  double bf16_error = 0;        // of Transformers' logits in bfloat16, relative to their length
  double e4m3_error = 0;        // of FP8 models whose products take x in e4m3; 0: not known
};

// What one of the two Phi-3 with two lists was first made for, and the other was not.
inline constexpr int64_t kGoldenContext = 128;

inline constexpr const char* kGoldenModels[] = {
    "qwen3-f32",        "qwen3-yarn-bf16",  "llama3-f32",          "llama-bf16",
    "qwen3-fp8-blocks", "llama-fp8",        "mistral-window-bf16", "gemma-bf16",
    "gemma3-bf16",      "phi3-window-bf16", "phi3-long-bf16",      "phi3-short-bf16"};

// In 4 and 8 bits (see make_quantized_goldens.py).
inline constexpr const char* kPackedModels[] = {
    "qwen3-gptq",   "qwen3-gptq-zeros",   "qwen3-gptq-8",   "qwen3-awq",
    "qwen3-packed", "qwen3-packed-zeros", "qwen3-packed-8", "qwen3-float-quantized"};

inline std::vector<int32_t> ids_of(const boost::json::value& list) {
  std::vector<int32_t> ids;
  for (const auto& id : list.as_array()) ids.push_back(static_cast<int32_t>(id.as_int64()));
  return ids;
}

inline std::filesystem::path golden_folder(const std::string& name) {
  const char* said = std::getenv("HACHI_TEST_DIR");  // where the tests run away from the repository
  const std::filesystem::path tests = said != nullptr ? said : HACHI_TEST_DIR;
  return tests / "golden/models" / name;
}

// The answers of a golden folder, and a model that must give them. Transformers does not know
// DeepSeek's YaRN key, so the goldens are made without it.
inline GoldenModel open_golden(const std::string& name, const std::filesystem::path& weights) {
  const std::filesystem::path folder = golden_folder(name);
  GoldenModel golden;
  auto checkpoint = formats::Checkpoint::open(weights);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  if (!checkpoint) return golden;
  golden.checkpoint = std::make_shared<const formats::Checkpoint>(*std::move(checkpoint));
  auto model = model::Model::load(
      golden.checkpoint,
      {.yarn_magnitude = model::YarnMagnitude::kTransformers, .context = kGoldenContext});
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return golden;
  golden.model = std::make_unique<model::Model>(*std::move(model));
  const auto prompt = boost::json::parse(*read_file(folder / "prompt.json", 1 << 20)).as_object();
  golden.prompt = ids_of(prompt.at("prompt"));
  golden.greedy = ids_of(prompt.at("greedy"));
  if (const auto* error = prompt.if_contains("bf16_error")) golden.bf16_error = error->as_double();
  if (const auto* error = prompt.if_contains("e4m3_error")) golden.e4m3_error = error->as_double();
  const std::string bytes = *read_file(folder / "logits.f32", 1 << 20);
  golden.logits.resize(bytes.size() / sizeof(float));
  std::memcpy(golden.logits.data(), bytes.data(), bytes.size());
  return golden;
}

inline GoldenModel open_golden(const std::string& name) {
  return open_golden(name, golden_folder(name));
}

// All logits of the golden prompt in one batch.
inline std::vector<float> run_prompt(const GoldenModel& golden, ops::Device device) {
  const model::Model& model = *golden.model;
  const auto count = static_cast<int64_t>(golden.prompt.size());
  ThreadPool pool(2);
  ops::Context ctx;
  ctx.device = device;
  ctx.pool = &pool;
  auto cache = model::KvCache::allocate(ctx, model.config(), 4, DType::kF32);
  auto memory = Buffer::allocate(model::Activations::bytes(model.config(), count));
  EXPECT_TRUE(cache && memory);
  const auto a = model::Activations::over(memory->data(), model.config(), count);
  std::vector<int32_t> positions(golden.prompt.size());
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<int32_t> pages = {2, 0, 3, 1};
  const ops::SequenceSpan sequence{0, count, pages};
  model.forward(ctx, {golden.prompt, positions, {&sequence, 1}}, *cache, a);
  std::vector<float> logits(golden.logits.size());
  model.logits(ctx, Tensor(logits.data(), DType::kF32, {count, model.config().vocab_size}), a.x,
               a.normed);
  return logits;
}

// Each row is within `tolerance` of Transformers' row, relative to its length.
inline void expect_golden_logits(const GoldenModel& golden, const std::vector<float>& logits,
                                 double tolerance = 1e-5) {
  const auto vocab = static_cast<size_t>(golden.model->config().vocab_size);
  ASSERT_EQ(logits.size(), golden.logits.size());
  for (size_t row = 0; row < golden.prompt.size(); ++row) {
    double error = 0;
    double norm = 0;
    for (size_t i = row * vocab; i < (row + 1) * vocab; ++i) {
      error += std::pow(static_cast<double>(logits[i] - golden.logits[i]), 2);
      norm += std::pow(static_cast<double>(golden.logits[i]), 2);
    }
    EXPECT_LE(std::sqrt(error / norm), tolerance) << "position " << row;
  }
}

}  // namespace hachi::testing
