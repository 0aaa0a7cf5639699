#include "kernels/int8_row.h"

#include <functional>
#include <limits>

#include "kernels/cpu/select.h"
#include "kernels/half.h"
#include "kernels/testing.h"

namespace hachi::ops {
namespace {

struct Rounded {
  std::vector<int8_t> q;
  std::vector<float> scales, sums;
};

using Rounder = decltype(cpu::InnerLoops::round_to_int8);

Rounded rounded(Rounder round, DType dtype, const std::vector<float>& x) {
  Rounded r{std::vector<int8_t>(x.size()), std::vector<float>(x.size() / 32),
            std::vector<float>(x.size() / 16)};
  round(dtype, x.data(), static_cast<int64_t>(x.size()),
        {r.q.data(), r.scales.data(), r.sums.data()});
  return r;
}

// The plain code, and that of each instruction set.
void for_each_rounder(const std::function<void(Rounder)>& body) {
  for (const CpuFeatures& set : instruction_sets()) {
    SCOPED_TRACE(name(set));
    body(cpu::inner_loops(set).round_to_int8);
  }
}

float through_f16(float value) { return f16_to_f32(f32_to_f16(value)); }

// With a largest magnitude of 127 every x is its own quotient, so ties can be seen.
TEST(Int8Row, RoundsToTheNearestAndTiesToEven) {
  for_each_rounder([](Rounder round) {
    for (const DType dtype : {DType::kQ4_1, DType::kQ6_K}) {
      std::vector<float> x(256);
      for (size_t i = 0; i < x.size(); i += 32) {
        const std::vector<float> values = {-127,  0.5f, 1.5f, 2.5f,  -0.5f,
                                           -1.5f, 2.4f, 2.6f, 126.5f};
        std::copy(values.begin(), values.end(), x.begin() + static_cast<int64_t>(i));
      }
      const Rounded r = rounded(round, dtype, x);
      const std::vector<int8_t> want = {-127, 0, 2, 2, 0, -2, 2, 3, 126};
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_EQ(r.q[i], i % 32 < want.size() ? want[i % 32] : 0) << i;
      }
      EXPECT_EQ(r.scales[7], 1.0f);
      EXPECT_EQ(r.sums[14], 6.0f);
      EXPECT_EQ(r.sums[15], 0.0f);
    }
  });
}

// Blocks of 32 have f16 scales and sums; blocks of 256 share one f32 scale.
TEST(Int8Row, ScalesByTheTypeOfWeights) {
  std::vector<float> x(256);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 0.37f * static_cast<float>(i % 19) - 1.0f;
  x[100] = -7.7f;
  for_each_rounder([&](Rounder round) {
    const Rounded small = rounded(round, DType::kQ8_0, x);
    const Rounded large = rounded(round, DType::kQ4_K, x);
    EXPECT_EQ(small.q[100], -127);
    EXPECT_EQ(large.q[100], -127);
    EXPECT_EQ(small.scales[3], through_f16(7.7f / 127));
    int sum = 0;
    for (size_t i = 96; i < 128; ++i) sum += small.q[i];
    EXPECT_EQ(small.sums[6], through_f16(7.7f / 127 * static_cast<float>(sum)));
    EXPECT_EQ(small.sums[7], 0.0f);
    for (const float scale : large.scales) EXPECT_EQ(scale, 1.0f / (127.0f / 7.7f));
    for (size_t group = 0; group < 16; ++group) {
      sum = 0;
      for (size_t i = 16 * group; i < 16 * group + 16; ++i) sum += large.q[i];
      EXPECT_EQ(large.sums[group], large.scales[0] * static_cast<float>(sum));
    }
  });
}

TEST(Int8Row, TakesWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for_each_rounder([](Rounder round) {
    for (const DType dtype : {DType::kQ5_1, DType::kQ2_K}) {
      for (const float value : {kNan, -kNan, kInfinity, -kInfinity}) {
        std::vector<float> x(256, 1.0f);
        x[5] = value;
        const Rounded r = rounded(round, dtype, x);
        EXPECT_EQ(r.q[4], 0);
        EXPECT_TRUE(std::isnan(r.scales[0]));
        EXPECT_TRUE(std::isnan(r.sums[0]));
      }
      for (const float value : {0.0f, -0.0f, 1e-45f, -1e-38f}) {
        const Rounded r = rounded(round, dtype, std::vector<float>(256, value));
        for (const int8_t q : r.q) EXPECT_EQ(q, 0);
        for (const float scale : r.scales) EXPECT_EQ(scale, 0.0f);
        for (const float sum : r.sums) EXPECT_EQ(sum, 0.0f);
      }
    }
  });
}

TEST(Int8Row, AllSetsGiveTheSameBits) {
  std::mt19937 random(51);
  std::normal_distribution<float> normal;
  std::vector<float> x(768);
  for (const float width : {1e-30f, 1e-6f, 1.0f, 1e6f, 1e30f}) {
    for (float& value : x) value = width * normal(random);
    for (const DType dtype : {DType::kQ4_1, DType::kQ4_K}) {
      const Rounded want = rounded(round_to_int8, dtype, x);
      for_each_rounder([&](Rounder round) {
        const Rounded got = rounded(round, dtype, x);
        EXPECT_EQ(got.q, want.q);
        EXPECT_EQ(got.scales, want.scales);
        EXPECT_EQ(got.sums, want.sums);
      });
    }
  }
}

}  // namespace
}  // namespace hachi::ops
