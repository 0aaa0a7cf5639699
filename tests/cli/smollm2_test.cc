// SmolLM2-135M-Instruct Q4_1 against llama.cpp on the same file (tests/golden/smollm2.json). Needs
// the model in the store: hachi pull smollm2.
#include <cmath>
#include <filesystem>
#include <memory>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "cli/loaded_model.h"
#include "cli/store.h"
#include "core/files.h"

namespace hachi::cli {
namespace {

class SmolLM2 : public testing::Test {
 protected:
  void SetUp() override {
    const auto store = ModelStore::open();
    if (!store || !store->resolve("smollm2")) {
      GTEST_SKIP() << "skipped: smollm2 is not in the store (hachi pull smollm2)";
    }
    auto loaded = load_model({.model = "smollm2"});
    ASSERT_TRUE(loaded) << loaded.error().message;
    loaded_ = std::make_unique<LoadedModel>(*std::move(loaded));
    const auto golden = read_file(folder_ / "smollm2.json", 1 << 20);
    ASSERT_TRUE(golden);
    golden_ = boost::json::parse(*golden);
  }

  static std::vector<int32_t> ids(const boost::json::value& list) {
    return boost::json::value_to<std::vector<int32_t>>(list);
  }

  std::filesystem::path folder_ = std::filesystem::path(HACHI_TEST_DIR) / "golden";
  std::unique_ptr<LoadedModel> loaded_;
  boost::json::value golden_;
};

TEST_F(SmolLM2, PromptsHaveTheTokensOfLlamaCpp) {
  for (const auto& prompt : golden_.at("prompts").as_array()) {
    const std::string text(prompt.at("text").as_string());
    EXPECT_EQ(loaded_->tokenizer.encode(text), ids(prompt.at("prompt"))) << text;
  }
}

// At each step of llama.cpp's greedy answers, given its tokens so far, the best token is
// llama.cpp's, but for as many and as near ties as llama.cpp has with itself when only its batches
// are cut in another way, or its cache is f32: rounding activations to 8 bits magnifies the order
// of sums.
TEST_F(SmolLM2, BestTokensAreThoseOfLlamaCpp) {
  double widest = 0;
  int64_t allowed = 0;
  for (const auto& [how, itself] : golden_.at("itself").as_object()) {
    widest = std::max(widest, itself.at("margin").to_number<double>());
    allowed = std::max(allowed, itself.at("steps").to_number<int64_t>());
  }
  auto session = make_session(*loaded_, {.context = 512});
  ASSERT_TRUE(session);
  int64_t steps = 0;
  int64_t different = 0;
  for (const auto& prompt : golden_.at("prompts").as_array()) {
    ASSERT_TRUE(session->prefill(ids(prompt.at("prompt"))));
    const std::vector<int32_t> greedy = ids(prompt.at("greedy"));
    for (size_t i = 0; i < greedy.size(); ++i, ++steps) {
      const auto logits = session->logits();
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      if (best != greedy[i]) {
        ++different;
        const double margin = prompt.at("margins").as_array()[i].to_number<double>();
        EXPECT_LE(margin, 1.5 * widest) << prompt.at("text").as_string() << ": step " << i;
      }
      ASSERT_TRUE(session->decode(greedy[i]));
    }
  }
  std::cout << different << " of " << steps << " best tokens differ\n";
  EXPECT_EQ(steps, 640);
  EXPECT_LE(different, 2 * allowed);
}

TEST_F(SmolLM2, PerplexityIsThatOfLlamaCpp) {
  const auto& golden = golden_.at("text");
  const auto window = golden.at("window").to_number<size_t>();
  auto session = make_session(*loaded_, {.context = static_cast<int64_t>(window)});
  ASSERT_TRUE(session);
  const auto text = read_file(folder_ / "text.txt", 1 << 20);
  ASSERT_TRUE(text);
  const auto tokens = loaded_->tokenizer.encode(*text, {.parse_special = false});
  double total = 0;
  int64_t count = 0;
  for (size_t at = 0; at < tokens.size(); at += window) {
    const auto scores =
        session->score(std::span(tokens).subspan(at, std::min(window, tokens.size() - at)), 1);
    ASSERT_TRUE(scores);
    for (const engine::TokenScore& score : *scores) {
      total -= static_cast<double>(score.logprob);
      ++count;
    }
  }
  EXPECT_EQ(count, golden.at("tokens").to_number<int64_t>());
  const double expected = golden.at("perplexity").to_number<double>();
  EXPECT_NEAR(std::exp(total / static_cast<double>(count)), expected, 0.005 * expected);
}

}  // namespace
}  // namespace hachi::cli
