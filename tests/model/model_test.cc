#include "model/model.h"

#include <cmath>
#include <filesystem>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/files.h"
#include "model/golden_models.h"

namespace hachi::model {
namespace {

using testing::GoldenModel;
using testing::open_golden;

class ModelGolden : public ::testing::TestWithParam<std::tuple<const char*, ops::Device>> {};

TEST_P(ModelGolden, LogitsAreThoseOfTransformers) {
  const auto [name, device] = GetParam();
  const GoldenModel golden = open_golden(name);
  ASSERT_TRUE(golden.model);
  testing::expect_golden_logits(golden, testing::run_prompt(golden, device));
}

INSTANTIATE_TEST_SUITE_P(All, ModelGolden,
                         ::testing::Combine(::testing::ValuesIn(testing::kGoldenModels),
                                            ::testing::Values(ops::Device::kRef,
                                                              ops::Device::kCpu)));

TEST(ModelConfig, ReadsYarnBothWays) {
  const GoldenModel golden = open_golden("qwen3-yarn-bf16");
  ASSERT_TRUE(golden.model);
  EXPECT_NEAR(golden.model->config().rope.magnitude, 1.1386294361, 1e-6);
  const auto author = read_config(*golden.checkpoint, {});
  ASSERT_TRUE(author);
  EXPECT_NEAR(author->rope.magnitude, 1.0, 1e-6);
  EXPECT_TRUE(author->tied_head);
  EXPECT_TRUE(author->qk_norm);
  EXPECT_EQ(author->head_dim, 16);
  EXPECT_EQ(author->eos_ids, std::vector<int32_t>{2});
  EXPECT_EQ(author->kv_bytes_per_token(DType::kF16), 2 * 2 * 2 * 16 * 2);
}

// The frequencies of models with plain, YaRN and Llama 3.1 positions, computed apart.
TEST(RopeFrequencies, AreThoseOfThePublishedModels) {
  const auto text =
      read_file(std::filesystem::path(HACHI_REFERENCE_DIR) / "rope-tables.json", 1 << 20);
  if (!text) GTEST_SKIP() << "skipped: " << text.error().message;
  const auto tables = boost::json::parse(*text);
  const auto expect_table = [&](const char* name, const RopeConfig& config) {
    const auto& expected = tables.at(name).at("inv_freq").as_array();
    const auto found = inverse_frequencies(config, 128);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const double value = expected[i].to_number<double>();
      EXPECT_NEAR(static_cast<double>(found[i]), value, value * 1e-7) << name << " " << i;
    }
  };
  expect_table("qwen3-default", {.theta = 1e6});
  expect_table(
      "deepseek-r1-0528-qwen3-8b-yarn",
      {.theta = 1e6, .scaling = RopeScaling::kYarn, .factor = 4, .original_context = 32768});
  expect_table(
      "llama-3.1-8b",
      {.theta = 500000, .scaling = RopeScaling::kLlama3, .factor = 8, .original_context = 8192});
}

TEST(RopeFrequencies, MagnitudeOfYarn) {
  EXPECT_DOUBLE_EQ(yarn_magnitude(1), 1);
  EXPECT_NEAR(yarn_magnitude(4), 1.138629436111989, 1e-15);
}

}  // namespace
}  // namespace hachi::model
