// Published models against llama.cpp on the same files (tests/golden/NAME.json). Needs the models
// in the store: hachi pull smollm2, hachi pull gemma3-270m.
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

class Published : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    const auto store = ModelStore::open();
    if (!store || !store->resolve(name)) {
      GTEST_SKIP() << "skipped: " << name << " is not in the store (hachi pull " << name << ")";
    }
    auto loaded = load_model({.model = name});
    ASSERT_TRUE(loaded) << loaded.error().message;
    loaded_ = std::make_unique<LoadedModel>(*std::move(loaded));
    const auto golden = read_file(folder_ / (name + ".json"), 1 << 20);
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

TEST_P(Published, PromptsHaveTheTokensOfLlamaCpp) {
  for (const auto& prompt : golden_.at("prompts").as_array()) {
    const std::string text(prompt.at("text").as_string());
    EXPECT_EQ(loaded_->tokenizer.encode(text, {.add_special = true}), ids(prompt.at("prompt")))
        << text;
  }
}

// At each step of llama.cpp's greedy answers, given its tokens so far, the best token is
// llama.cpp's, but for as many and as near ties as llama.cpp has with itself when only its batches
// are cut in another way, or its cache is f32: rounding activations to 8 bits magnifies the order
// of sums.
TEST_P(Published, BestTokensAreThoseOfLlamaCpp) {
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

TEST_P(Published, PerplexityIsThatOfLlamaCpp) {
  const auto& golden = golden_.at("text");
  const auto window = golden.at("window").to_number<size_t>();
  auto session = make_session(*loaded_, {.context = static_cast<int64_t>(window)});
  ASSERT_TRUE(session);
  const auto text = read_file(folder_ / "text.txt", 1 << 20);
  ASSERT_TRUE(text);
  const auto tokens = loaded_->tokenizer.encode(*text, {.parse_special = false});
  const std::vector<int32_t> begin = ids(golden.at("begin"));
  const size_t room = window - begin.size();
  double total = 0;
  int64_t count = 0;
  for (size_t at = 0; at < tokens.size(); at += room) {
    std::vector<int32_t> piece = begin;
    const size_t end = std::min(at + room, tokens.size());
    piece.insert(piece.end(), tokens.begin() + static_cast<ptrdiff_t>(at),
                 tokens.begin() + static_cast<ptrdiff_t>(end));
    const auto scores = session->score(piece, 1);
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

INSTANTIATE_TEST_SUITE_P(All, Published, testing::Values("smollm2", "gemma3-270m"));

}  // namespace
}  // namespace hachi::cli
