// The limits that are measured and the sets that are chosen: that they follow the features.
#include "kernels/cpu/limits.h"

#include <gtest/gtest.h>

#include "kernels/cpu/chosen.h"

namespace hachi::ops {
namespace {

TEST(Limits, AreMeasuredForTheInstructionsThereAre) {
  ThreadPool pool(2);
  const auto limits = measure_limits(pool, cpu_features());
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_GT(limits->read.median, 0);
  EXPECT_GE(limits->read.best, limits->read.median);
  if (!cpu_features().avx2) GTEST_SKIP() << "no AVX2: the arithmetic has no probes";
  EXPECT_GT(limits->int8.median, 0);
  EXPECT_GT(limits->float32.median, 0);

  const auto narrow = measure_limits(pool, {.avx2 = true});
  ASSERT_TRUE(narrow) << narrow.error().message;
  EXPECT_EQ(narrow->int8.how, "AVX2");
  if (cpu_features().avx_vnni) {
    const auto vnni = measure_limits(pool, {.avx2 = true, .avx_vnni = true});
    ASSERT_TRUE(vnni) << vnni.error().message;
    EXPECT_EQ(vnni->int8.how, "AVX-VNNI");
    EXPECT_EQ(vnni->float32.how, "AVX2");
  }
}

TEST(Limits, HaveNoArithmeticWithoutInstructions) {
  ThreadPool pool(1);
  const auto limits = measure_limits(pool, {});
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_GT(limits->read.best, 0);
  EXPECT_EQ(limits->int8.best, 0);
  EXPECT_EQ(limits->float32.best, 0);
}

std::string_view set_of(const std::vector<ChosenLoops>& chosen, std::string_view op) {
  for (const ChosenLoops& loops : chosen) {
    if (loops.op == op) return loops.set;
  }
  return {};
}

constexpr std::string_view kWidest = "the widest that it has code for";

TEST(ChosenLoops, FollowTheFeatures) {
  if (cpu_features().neon_dot) {
    const auto chosen = chosen_loops({.neon_dot = true});
    EXPECT_EQ(set_of(chosen, "matmul, repacked weights"), "NEON dot product");
    EXPECT_EQ(set_of(chosen, "rms_norm"), "plain C++");
    for (const ChosenLoops& loops : chosen) EXPECT_EQ(loops.why, kWidest) << loops.op;
  }
  for (const ChosenLoops& loops : chosen_loops({})) {
    EXPECT_EQ(loops.set, "plain C++") << loops.op;
    EXPECT_FALSE(loops.why.empty());
  }
  if (!cpu_features().avx2) GTEST_SKIP() << "no AVX2";
  for (const ChosenLoops& loops : chosen_loops({.avx2 = true})) {
    EXPECT_EQ(loops.set, "AVX2") << loops.op;
    if (loops.op == "matmul, repacked weights") {
      EXPECT_EQ(loops.why, "the processor has no AVX-VNNI");
    }
  }
  for (const ChosenLoops& loops : chosen_loops({.avx2 = true, .avx512 = true, .amx = true})) {
    EXPECT_EQ(loops.why, kWidest) << loops.op;
  }
  const auto widest = chosen_loops({.avx2 = true, .avx512 = true});
  EXPECT_EQ(set_of(widest, "matmul, repacked weights"), "AVX-512 VNNI");
}

}  // namespace
}  // namespace hachi::ops
