#include "quantize/blocks.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/blocks.h"
#include "quantize/quantize_row.h"
#include "quantize/testing.h"

namespace hachi::quantize {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

void expect_finite(const Floats& y) {
  for (size_t i = 0; i < y.size(); ++i) ASSERT_TRUE(std::isfinite(y[i])) << "element " << i;
}

TEST(Blocks, SaysWhatItCanDo) {
  for (const DType type : block_types()) EXPECT_TRUE(can_quantize(type)) << name(type);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) EXPECT_TRUE(can_quantize(type));
  EXPECT_FALSE(can_quantize(DType::kI32));
  EXPECT_FALSE(can_quantize(DType::kF8E4M3));
  for (const DType type : block_types()) {
    EXPECT_EQ(needs_importance(type), type == DType::kIQ2_XXS || type == DType::kIQ2_XS);
  }
}

TEST(Blocks, PlainTypesAreRoundedAndKeepWhatIsNotFinite) {
  const Floats x = {1.0f, -0.5f, 1.0f + 0x1p-11f, kInfinity, -kInfinity, kNaN};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Floats y = there_and_back(type, x);
    EXPECT_EQ(y[1], -0.5f);
    EXPECT_EQ(y[2], type == DType::kF32 ? 1.0f + 0x1p-11f : 1.0f);
    EXPECT_EQ(y[3], kInfinity);
    EXPECT_EQ(y[4], -kInfinity);
    EXPECT_TRUE(std::isnan(y[5]));
  }
}

// What normal values may lose, and the order of the types by it. The bounds are 3 % above what was
// measured, so that a search that got worse would show.
TEST(Blocks, MoreBitsLoseLess) {
  struct Bound {
    DType type;
    double error;
  };
  const Bound bounds[] = {
      {DType::kQ8_0, 0.0056},   {DType::kQ6_K, 0.0173},   {DType::kQ5_K, 0.036},
      {DType::kQ5_1, 0.0393},   {DType::kQ5_0, 0.0444},   {DType::kQ4_K, 0.0725},
      {DType::kIQ4_NL, 0.0759}, {DType::kIQ4_XS, 0.0763}, {DType::kQ4_1, 0.081},
      {DType::kQ4_0, 0.089},    {DType::kIQ3_S, 0.1356},  {DType::kQ3_K, 0.1493},
      {DType::kIQ3_XXS, 0.185}, {DType::kIQ2_S, 0.2515},  {DType::kQ2_K, 0.2722},
      {DType::kIQ2_XS, 0.299},  {DType::kIQ2_XXS, 0.343},
  };
  const Floats x = normal_values(8192, 1);
  double last = 0;
  for (const Bound& bound : bounds) {
    const double error = relative_error(x, there_and_back(bound.type, x));
    EXPECT_LT(error, bound.error) << name(bound.type);
    EXPECT_GT(error, last) << name(bound.type);
    last = error;
  }
}

TEST(Blocks, ZerosStayZeros) {
  for (const DType type : block_types()) {
    for (const float zero : {0.0f, -0.0f}) {
      const Floats y = there_and_back(type, Floats(512, zero));
      for (const float value : y) ASSERT_EQ(value, 0.0f) << name(type);
    }
  }
}

// One value for a whole block is near a representable one in every type whose levels are not tied
// to a grid.
TEST(Blocks, ConstantBlocksComeBack) {
  for (const DType type : block_types()) {
    SCOPED_TRACE(name(type));
    const bool grid = type >= DType::kIQ3_S && type <= DType::kIQ2_XXS;
    for (const float constant : {0.37f, -0.37f, 100.0f, -0.001f}) {
      const Floats x(256, constant);
      EXPECT_LT(relative_error(x, there_and_back(type, x)), grid ? 0.35 : 0.02) << constant;
    }
  }
}

TEST(Blocks, OneOutlierKeepsItsValue) {
  for (const DType type : block_types()) {
    SCOPED_TRACE(name(type));
    for (const float outlier : {30.0f, -30.0f}) {
      Floats x = normal_values(512, 2);
      x[77] = outlier;
      const Floats y = there_and_back(type, x);
      EXPECT_NEAR(y[77], outlier, 0.12 * 30.0);
      // The other block of the row does not know of it.
      const Floats rest(x.begin() + 256, x.end());
      const Floats rest_y(y.begin() + 256, y.end());
      EXPECT_LT(relative_error(rest, rest_y), 0.35);
    }
  }
}

TEST(Blocks, WhatIsNotFiniteIsMadeSo) {
  const Floats importance(256, 1.0f);
  for (const DType type : block_types()) {
    SCOPED_TRACE(name(type));
    for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
      expect_finite(there_and_back(type, Floats(256, kNaN), weights));
      expect_finite(there_and_back(type, Floats(256, kInfinity), weights));
      expect_finite(there_and_back(type, Floats(256, -kInfinity), weights));
      expect_finite(there_and_back(type, Floats(256, 3e38f), weights));
      Floats mixed = normal_values(256, 3);
      mixed[5] = kNaN;
      Floats zero_for_nan = mixed;
      zero_for_nan[5] = 0;
      EXPECT_EQ(quantized(type, mixed, weights), quantized(type, zero_for_nan, weights));
      mixed[9] = -kInfinity;
      mixed[200] = 1e30f;
      expect_finite(there_and_back(type, mixed, weights));
    }
  }
}

TEST(Blocks, TheSmallestAndTheLargestValues) {
  for (const DType type : block_types()) {
    SCOPED_TRACE(name(type));
    for (const float width : {1e-44f, 1e-38f, 1e-30f, 1e-20f, 1e-10f}) {
      for (const float value : there_and_back(type, normal_values(256, 4, width))) {
        ASSERT_LT(std::fabs(value), 1e-6f) << width;
      }
    }
    const Floats large = normal_values(256, 5, 15000.0f);
    EXPECT_LT(relative_error(large, there_and_back(type, large)), 0.35);
  }
}

// Any bits at all, for values and importance.
TEST(Blocks, RandomBitsDoNoHarm) {
  std::mt19937 random(6);
  for (int round = 0; round < 20; ++round) {
    Floats x(512), importance(512);
    for (float& value : x) value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    for (float& value : importance) value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    for (const DType type : block_types()) {
      SCOPED_TRACE(name(type));
      expect_finite(there_and_back(type, x, importance.data()));
      expect_finite(there_and_back(type, normal_values(512, 7), importance.data()));
    }
  }
}

TEST(Blocks, OnlyTheRatiosOfImportanceCount) {
  const Floats x = normal_values(512, 8);
  Floats importance(512), scaled(512);
  std::mt19937 random(9);
  for (size_t i = 0; i < importance.size(); ++i) {
    importance[i] = static_cast<float>(random() % 1000 + 1);
    scaled[i] = importance[i] * 0x1p-90f;
  }
  const Floats even(512, 3.0f), none(512, 0.0f);
  for (const DType type : block_types()) {
    SCOPED_TRACE(name(type));
    EXPECT_EQ(quantized(type, x, importance.data()), quantized(type, x, scaled.data()));
    EXPECT_EQ(quantized(type, x, even.data()), quantized(type, x, none.data()));
  }
}

// A tenth of the elements matter: they lose less than they do without importance, the others more.
TEST(Blocks, ImportanceGoesWhereItIsAsked) {
  const Floats x = normal_values(4096, 10);
  Floats importance(x.size(), 0.0f);
  for (size_t i = 0; i < x.size(); i += 10) importance[i] = 1;
  for (const DType type : block_types()) {
    if (type == DType::kQ8_0) continue;
    SCOPED_TRACE(name(type));
    const Floats y = there_and_back(type, x, importance.data());
    const Floats plain = there_and_back(type, x);
    EXPECT_LT(weighted_error(type, x, y, importance.data()),
              0.7 * weighted_error(type, x, plain, importance.data()));
    EXPECT_LT(relative_error(x, y), 1.0);  // those of no importance are not lost
  }
}

// Values that a block holds exactly come back as they are.
TEST(Blocks, ReferenceRoundingIsIdempotent) {
  for (const DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0}) {
    const Floats once = there_and_back(type, normal_values(4096, 11));
    const Floats twice = there_and_back(type, once);
    if (type == DType::kQ4_0 || type == DType::kQ5_0 || type == DType::kQ8_0) {
      EXPECT_EQ(once, twice) << name(type);
    } else {
      EXPECT_LT(relative_error(once, twice), 1e-3) << name(type);
    }
  }
}

// A search that is given what the type can hold finds it, or something as near as f16 scales are.
TEST(Blocks, SearchFindsWhatIsThere) {
  for (const DType type : {DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL,
                           DType::kIQ4_XS, DType::kIQ3_S, DType::kIQ2_S}) {
    const Floats once = there_and_back(type, normal_values(4096, 12));
    const double lost = relative_error(normal_values(4096, 12), once);
    EXPECT_LT(relative_error(once, there_and_back(type, once)), 0.5 * lost) << name(type);
  }
}

TEST(Blocks, EachBlockIsForItself) {
  const Floats x = normal_values(1024, 13);
  for (const DType type : block_types()) {
    const std::vector<std::byte> whole = quantized(type, x);
    std::vector<std::byte> parts;
    for (auto first = x.begin(); first < x.end(); first += 256) {
      const std::vector<std::byte> part = quantized(type, Floats(first, first + 256));
      parts.insert(parts.end(), part.begin(), part.end());
    }
    EXPECT_EQ(whole, parts) << name(type);
  }
}

TEST(Blocks, AllSetsGiveTheSameBits) {
  if (!ops::cpu_features().avx2) GTEST_SKIP() << "This processor has only the portable set.";
  Floats x = normal_values(2048, 14);
  x[3] = 2;
  x[700] = -1;
  const Floats importance = normal_values(2048, 15, 1.0f);
  for (const DType type : block_types()) {
    for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
      std::vector<std::byte> portable_bytes(static_cast<size_t>(row_bytes(type, 2048)));
      quantize_row(type, x.data(), 2048, weights, portable_bytes.data(), portable::kSearchLoops);
      EXPECT_EQ(quantized(type, x, weights), portable_bytes) << name(type);
    }
  }
}

}  // namespace
}  // namespace hachi::quantize
