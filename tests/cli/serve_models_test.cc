#include "cli/serve_models.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace hachi::cli {
namespace {

const std::vector<ServedName> kNames = {{"qwen", "a.gguf"}, {"a=b", "c.gguf"}, {"smollm2", "d"}};

TEST(ThinkingBudgets, AreOfAllOrOfOne) {
  EXPECT_EQ(thinking_budgets(kNames, 7, {}).value(), (std::vector<int64_t>{7, 7, 7}));
  EXPECT_EQ(thinking_budgets(kNames, -1, {"a=b=0", "qwen=2147483647"}).value(),
            (std::vector<int64_t>{2147483647, 0, -1}));
  EXPECT_EQ(thinking_budgets(kNames, 7, {"smollm2=-1"}).value(), (std::vector<int64_t>{7, 7, -1}));
}

TEST(ThinkingBudgets, NameWhatIsWrong) {
  for (const char* text : {"", "=", "qwen", "qwen=", "qwen=x", "qwen=1x", "qwen= 1", "qwen=-2",
                           "qwen=2147483648", "qwen=99999999999999999999"}) {
    const auto budgets = thinking_budgets(kNames, 7, {text});
    ASSERT_FALSE(budgets) << text;
    EXPECT_NE(budgets.error().message.find("NAME=N"), std::string::npos) << text;
  }
  const auto unknown = thinking_budgets(kNames, 7, {"a.gguf=1"});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("'a.gguf'"), std::string::npos);
  EXPECT_FALSE(thinking_budgets(kNames, 7, {"=1"}));
  EXPECT_FALSE(thinking_budgets(kNames, 7, {"qwen=1", "qwen=1"}));
}

// Pages of 32 tokens, whole; on a processor there are none unless asked for.
TEST(PlanModel, GivesTheHostCachePages) {
  ServeModelOptions options;
  options.model.device.device = "cpu";
  const auto usual = plan_model("synthetic:tiny:bf16", options);
  ASSERT_TRUE(usual) << usual.error().message;
  EXPECT_EQ(usual->host_pages, 0);
  const uint64_t page = usual->kv_cache_bytes / static_cast<uint64_t>(usual->cache_tokens) * 32;
  options.host_cache_bytes = 10 * page + page / 2;
  const auto asked = plan_model("synthetic:tiny:bf16", options);
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_EQ(asked->host_pages, 10);
  EXPECT_EQ(asked->host_cache_bytes, 10 * page);
  // On a processor they lie in the memory that the model has.
  EXPECT_EQ(asked->memory_bytes(), usual->memory_bytes() + 10 * page);
}

}  // namespace
}  // namespace hachi::cli
