// The ops that take one row at a time: embed, rms_norm, rope, swiglu, geglu, add.
#include "kernels/testing.h"

namespace hachi::ops {
namespace {

const std::vector<int64_t> kSizes = {1, 7, 8, 9, 33, 576};

double largest(const Matrix& m, int64_t row) {
  double value = 0;
  for (int64_t c = 0; c < m.columns(); ++c) {
    value = std::max(value, std::abs(static_cast<double>(m.at(row, c))));
  }
  return value;
}

TEST(RmsNorm, MatchesTheFormula) {
  Runner ref(Device::kRef, {}, 1);
  Matrix x(1, 4), w(1, 4), y(1, 4);
  const float in[] = {1, -2, 3, 4};
  for (int c = 0; c < 4; ++c) x.at(0, c) = in[c], w.at(0, c) = static_cast<float>(c + 1);
  rms_norm(ref.ctx(), y.tensor(), x.tensor(), w.vector(), 1.5f);
  for (int c = 0; c < 4; ++c) EXPECT_FLOAT_EQ(y.at(0, c), in[c] * static_cast<float>(c + 1) / 3);
}

TEST(RmsNorm, MatchesTheReference) {
  std::mt19937 random(21);
  for (const int64_t columns : kSizes) {
    const Matrix x(5, columns, random, 3.0);
    const Matrix w(1, columns, random);
    Runner ref(Device::kRef, {}, 1);
    Matrix want(5, columns);
    rms_norm(ref.ctx(), want.tensor(), x.tensor(), w.vector(), 1e-6f);
    for_each_set([&](Runner& runner) {
      // All terms of the sum are positive, so its relative error is a rounding a term of a lane;
      // the root halves it; then come the root, the quotient and two products.
      const double relative = (static_cast<double>(columns) / 16 + 8) * kEpsilon;
      const auto tolerance = [&](int64_t t, int64_t c) {
        return relative * std::abs(want.at(t, c)) + 1e-30;
      };
      Matrix got(5, columns);
      rms_norm(runner.ctx(), got.tensor(), x.tensor(), w.vector(), 1e-6f);
      expect_close(got, want, tolerance);
      Matrix in_place = x.copy();
      rms_norm(runner.ctx(), in_place.tensor(), in_place.tensor(), w.vector(), 1e-6f);
      expect_close(in_place, want, tolerance);
    });
  }
}

TEST(RmsNormHeads, IsTheNormOfEachHead) {
  std::mt19937 random(22);
  for (const int64_t width : {1, 7, 8, 33, 128}) {
    const Matrix x(3, 4 * width, random);
    const Matrix w(1, width, random);
    for_each_set([&](Runner& runner) {
      Matrix got = x.copy();
      rms_norm_heads(runner.ctx(), got.tensor(), w.vector(), 1e-5f);
      Matrix want = x.copy();
      for (int64_t head = 0; head < 4; ++head) {
        const Tensor columns = want.tensor().columns(head * width, width);
        rms_norm(runner.ctx(), columns, columns, w.vector(), 1e-5f);
      }
      EXPECT_TRUE(got.same_bytes(want));
    });
    Runner ref(Device::kRef, {}, 1);
    Matrix want = x.copy();
    rms_norm_heads(ref.ctx(), want.tensor(), w.vector(), 1e-5f);
    for_each_set([&](Runner& runner) {
      Matrix got = x.copy();
      rms_norm_heads(runner.ctx(), got.tensor(), w.vector(), 1e-5f);
      expect_close(got, want, [&](int64_t t, int64_t c) {
        return (static_cast<double>(width) / 16 + 8) * kEpsilon * std::abs(want.at(t, c)) + 1e-30;
      });
    });
  }
}

struct Angles {
  std::vector<int32_t> positions = {0, 1, 2, 77, 131071};
  std::vector<float> inv_freq;
};

Angles angles_for(int64_t half) {
  Angles angles;
  for (int64_t i = 0; i < half; ++i) {
    angles.inv_freq.push_back(
        static_cast<float>(std::pow(1e6, -static_cast<double>(i) / static_cast<double>(half))));
  }
  return angles;
}

TEST(RopeAngles, RoundTheAngleAndNothingBeforeIt) {
  const Angles angles = angles_for(9);
  for (const Device device : {Device::kRef, Device::kCpu}) {
    Runner runner(device, cpu_features(), 3);
    Matrix got(5, 18);
    rope_angles(runner.ctx(), got.tensor(), angles.positions, angles.inv_freq, 1.25f);
    for (int64_t t = 0; t < 5; ++t) {
      for (int64_t i = 0; i < 9; ++i) {
        const float angle = static_cast<float>(angles.positions[static_cast<size_t>(t)]) *
                            angles.inv_freq[static_cast<size_t>(i)];
        EXPECT_EQ(got.at(t, i), static_cast<float>(1.25 * std::cos(double{angle})));
        EXPECT_EQ(got.at(t, 9 + i), static_cast<float>(1.25 * std::sin(double{angle})));
      }
    }
  }
}

TEST(Rope, MatchesTheReference) {
  std::mt19937 random(23);
  for (const int64_t half : {1, 3, 4, 8, 9, 12, 48, 64}) {
    for (const RopeLayout layout : {RopeLayout::kHalves, RopeLayout::kInterleaved}) {
      SCOPED_TRACE(half);
      const Angles angles = angles_for(half);
      const Matrix x(5, 3 * 2 * half, random);
      Runner ref(Device::kRef, {}, 1);
      Matrix cos_sin(5, 2 * half);
      rope_angles(ref.ctx(), cos_sin.tensor(), angles.positions, angles.inv_freq, 1.0f);
      Matrix want = x.copy();
      rope(ref.ctx(), want.tensor(), cos_sin.tensor(), layout);
      for_each_set([&](Runner& runner) {
        Matrix got = x.copy();
        rope(runner.ctx(), got.tensor(), cos_sin.tensor(), layout);
        // Two products and a difference, each at most the largest input times sqrt 2.
        expect_close(got, want, [&](int64_t t, int64_t) { return 5 * kEpsilon * largest(x, t); });
      });
    }
  }
}

// The two layouts are one rotation of reordered elements.
TEST(Rope, LayoutsDifferByThePlacesOfPairs) {
  std::mt19937 random(24);
  const Angles angles = angles_for(8);
  Runner ref(Device::kRef, {}, 1);
  Matrix cos_sin(5, 16);
  rope_angles(ref.ctx(), cos_sin.tensor(), angles.positions, angles.inv_freq, 1.0f);
  Matrix halves(5, 16, random);
  Matrix pairs(5, 16);
  for (int64_t t = 0; t < 5; ++t) {
    for (int64_t i = 0; i < 16; ++i) pairs.at(t, i) = halves.at(t, i / 2 + i % 2 * 8);
  }
  rope(ref.ctx(), halves.tensor(), cos_sin.tensor(), RopeLayout::kHalves);
  rope(ref.ctx(), pairs.tensor(), cos_sin.tensor(), RopeLayout::kInterleaved);
  for (int64_t t = 0; t < 5; ++t) {
    for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(pairs.at(t, i), halves.at(t, i / 2 + i % 2 * 8));
  }
}

TEST(Swiglu, MatchesTheReference) {
  std::mt19937 random(25);
  for (const int64_t columns : {1, 7, 8, 9, 33, 1536, 2500}) {
    const Matrix gate_up(3, 2 * columns, random, 4.0);
    Runner ref(Device::kRef, {}, 1);
    Matrix want(3, columns);
    swiglu(ref.ctx(), want.tensor(), gate_up.tensor());
    for_each_set([&](Runner& runner) {
      Matrix got(3, columns);
      swiglu(runner.ctx(), got.tensor(), gate_up.tensor());
      // exp within 2 units in the last place, then a sum, a quotient and a product.
      expect_close(got, want, [&](int64_t t, int64_t c) {
        return 8 * kEpsilon * std::abs(want.at(t, c)) + 1e-30;
      });
    });
  }
}

TEST(Swiglu, StaysFiniteForLargeGates) {
  for_each_set([](Runner& runner) {
    Matrix gate_up(1, 8), y(1, 4);
    const float gates[] = {-1e30f, -200.0f, 200.0f, 1e30f};
    for (int c = 0; c < 4; ++c) gate_up.at(0, c) = gates[c], gate_up.at(0, 4 + c) = 1;
    swiglu(runner.ctx(), y.tensor(), gate_up.tensor());
    EXPECT_EQ(y.at(0, 0), 0);
    EXPECT_EQ(y.at(0, 1), 0);
    EXPECT_EQ(y.at(0, 2), 200);
    EXPECT_EQ(y.at(0, 3), 1e30f);
  });
}

TEST(Geglu, MatchesTheReference) {
  std::mt19937 random(28);
  for (const int64_t columns : {1, 7, 8, 9, 33, 1536, 2500}) {
    const Matrix gate_up(3, 2 * columns, random, 2.0);
    Runner ref(Device::kRef, {}, 1);
    Matrix want(3, columns);
    geglu(ref.ctx(), want.tensor(), gate_up.tensor());
    for_each_set([&](Runner& runner) {
      Matrix got(3, columns);
      geglu(runner.ctx(), got.tensor(), gate_up.tensor());
      // As swiglu, but the argument of exp has a relative error of four roundings of its own, which
      // exp makes an absolute one; where it is large, 1 + exp is no smaller than exp.
      expect_close(got, want, [&](int64_t t, int64_t c) {
        const double g = gate_up.at(t, c);
        const double argument = std::abs(1.6 * g * (1 + 0.045 * g * g));
        // The reference's own 1 + tanh(u) loses what is small beside 1.
        const double cancelled = 0x1p-52 * std::abs(g * gate_up.at(t, columns + c));
        return (8 + 4 * argument) * kEpsilon * std::abs(want.at(t, c)) + cancelled + 1e-30;
      });
    });
  }
}

// Known values of the formula, computed apart in double precision.
TEST(Geglu, GivesKnownValues) {
  const double gates[] = {-3, -1, -0.5, 0, 0.5, 1, 3};
  const double values[] = {-0.0036373920817729943, -0.15880800939172324, -0.15428599017485606, 0,
                           0.34571400982514394,    0.84119199060827676,  2.9963626079182270};
  Matrix gate_up(1, 14), y(1, 7);
  for (int c = 0; c < 7; ++c) {
    gate_up.at(0, c) = static_cast<float>(gates[c]);
    gate_up.at(0, 7 + c) = 2;
  }
  for (const Device device : {Device::kRef, Device::kCpu}) {
    Runner runner(device, cpu_features(), 1);
    geglu(runner.ctx(), y.tensor(), gate_up.tensor());
    for (int c = 0; c < 7; ++c) EXPECT_NEAR(y.at(0, c), 2 * values[c], 3e-7) << c;
  }
}

TEST(Geglu, StaysFiniteForLargeGates) {
  for_each_set([](Runner& runner) {
    Matrix gate_up(1, 8), y(1, 4);
    const float gates[] = {-1e30f, -200.0f, 200.0f, 1e30f};
    for (int c = 0; c < 4; ++c) gate_up.at(0, c) = gates[c], gate_up.at(0, 4 + c) = 1;
    geglu(runner.ctx(), y.tensor(), gate_up.tensor());
    EXPECT_EQ(y.at(0, 0), 0);
    EXPECT_EQ(y.at(0, 1), 0);
    EXPECT_EQ(y.at(0, 2), 200);
    EXPECT_EQ(y.at(0, 3), 1e30f);
  });
}

TEST(Add, AddsEachElement) {
  std::mt19937 random(29);
  for (const int64_t columns : kSizes) {
    const Matrix x(5, columns, random);
    const Matrix y(5, columns, random);
    for (const Device device : {Device::kRef, Device::kCpu}) {
      Runner runner(device, cpu_features(), 3);
      const Matrix sum = x.copy();
      add(runner.ctx(), sum.tensor(), y.tensor());
      for (int64_t t = 0; t < 5; ++t) {
        for (int64_t c = 0; c < columns; ++c) ASSERT_EQ(sum.at(t, c), x.at(t, c) + y.at(t, c));
      }
    }
  }
}

TEST(Embed, PicksRowsAndScales) {
  std::mt19937 random(26);
  const std::vector<int32_t> ids = {4, 0, 6, 4};
  for (const DType dtype : weight_types()) {
    SCOPED_TRACE(name(dtype));
    const int64_t columns = 512;
    RandomWeight table(dtype, 7, columns, random);
    Runner ref(Device::kRef, {}, 1);
    Matrix rows(7, columns);
    dequantize(ref.ctx(), rows.tensor(), table.weight(), 0);
    for (const Device device : {Device::kRef, Device::kCpu}) {
      Runner runner(device, cpu_features(), 3);
      Matrix got(4, columns);
      embed(runner.ctx(), got.tensor(), ids, table.weight(), 2.5f);
      for (int64_t t = 0; t < 4; ++t) {
        for (int64_t c = 0; c < columns; ++c) {
          ASSERT_EQ(got.at(t, c), rows.at(ids[static_cast<size_t>(t)], c) * 2.5f);
        }
      }
    }
  }
}

// Rows alone and in a batch, and on any number of threads, have the same bits.
TEST(Rows, DoNotDependOnBatchOrThreads) {
  std::mt19937 random(27);
  const int64_t columns = 1500;
  const Matrix x(33, 2 * columns, random);
  const Matrix w(1, columns, random);
  for (const CpuFeatures& set : instruction_sets()) {
    Runner one(Device::kCpu, set, 1);
    Matrix norm(33, columns), gated(33, columns);
    for (int64_t t = 0; t < 33; ++t) {
      rms_norm(one.ctx(), norm.tensor().rows(t, 1), x.tensor().rows(t, 1).columns(0, columns),
               w.vector(), 1e-6f);
      swiglu(one.ctx(), gated.tensor().rows(t, 1), x.tensor().rows(t, 1));
    }
    for (const int threads : {1, 2, 3, 5}) {
      Runner runner(Device::kCpu, set, threads);
      Matrix got(33, columns);
      rms_norm(runner.ctx(), got.tensor(), x.tensor().columns(0, columns), w.vector(), 1e-6f);
      EXPECT_TRUE(got.same_bytes(norm));
      swiglu(runner.ctx(), got.tensor(), x.tensor());
      EXPECT_TRUE(got.same_bytes(gated));
    }
  }
}

}  // namespace
}  // namespace hachi::ops
