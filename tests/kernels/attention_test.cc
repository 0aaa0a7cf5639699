// attention and kv_store, which only make sense together.
#include "kernels/cpu/select.h"
#include "kernels/sequences.h"

namespace hachi::ops {
namespace {

const std::vector<Shape> kShapes = {
    {1, 1, 8, DType::kF32},
    {3, 1, 16, DType::kF16},
    {4, 2, 24, DType::kBF16},
    {9, 3, 64, DType::kF16},
    {8, 2, 128, DType::kBF16},
    {5, 5, 96, DType::kF16},
    {2, 1, 256, DType::kF32},
    {40, 1, 8, DType::kF16},
    {7, 1, 56, DType::kF32},
    {8, 2, 128, DType::kF16},
    {9, 3, 64, DType::kQ8_0},
    {8, 2, 128, DType::kQ8_0},
    {7, 1, 32, DType::kQ8_0},
    {2, 2, 256, DType::kQ8_0},
    {13, 1, 72, DType::kBF16},
    // Windows within a page, of a page, across segments, of one position, of more than there are.
    {4, 2, 24, DType::kBF16, 5},
    {8, 2, 128, DType::kF16, 32},
    {9, 3, 64, DType::kQ8_0, 100},
    {2, 1, 256, DType::kF32, 1},
    {7, 1, 56, DType::kF32, 257},
    {40, 1, 8, DType::kF16, 33},
    {3, 1, 16, DType::kF16, 1000},
};

std::string describe(const Shape& s) {
  return fmt::format("H={} G={} D={} {} window {}", s.heads, s.kv_heads, s.width, name(s.dtype),
                     s.window);
}

// Prefill of two sequences at once, then a second chunk of one beside a decode step of the other,
// then both decode: across the border of a segment.
const std::vector<int64_t> kLengths = {275, 18};
const std::vector<std::vector<Chunk>> kSteps = {
    {{0, 0, 33}, {1, 0, 16}}, {{1, 16, 1}, {0, 33, 241}}, {{0, 274, 1}, {1, 17, 1}}};

// How far the results of a sequence's query head may be from the reference, position by position,
// by the sizes of what is summed: a score is a sum of D products, of which none is larger than the
// product of the norms; an error e in it changes its weight by a factor of 1 + e; the weights, exp
// and all, are summed and divided by, and average values.
std::vector<double> tolerances(const Sequences& sequences, size_t sequence, int64_t head) {
  const Shape& shape = sequences.shape();
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const auto norm = [&](const Matrix& m, int64_t row, int64_t group) {
    double sum = 0;
    for (int64_t d = 0; d < shape.width; ++d)
      sum += std::pow(m.at(row, group * shape.width + d), 2);
    return std::sqrt(sum);
  };
  const double width_error = (std::sqrt(static_cast<double>(shape.width)) + 4) * kEpsilon;
  std::vector<double> allowed;
  double largest_key = 0;
  double largest_value = 0;
  for (int64_t p = 0; p < sequences.k(sequence).rows(); ++p) {
    largest_key = std::max(largest_key, norm(sequences.k(sequence), p, kv_head));
    for (int64_t d = 0; d < shape.width; ++d) {
      const double value = sequences.v(sequence).at(p, kv_head * shape.width + d);
      largest_value = std::max(largest_value, std::abs(value));
    }
    const double score = norm(sequences.q(sequence), p, head) * largest_key *
                         static_cast<double>(sequences.score_scale());
    const double sum_error = (std::sqrt(static_cast<double>(p)) + 16) * kEpsilon;
    allowed.push_back(largest_value * (2 * width_error * score + sum_error));
  }
  return allowed;
}

// Checks positions [first, end) of a sequence.
void expect_near_reference(const Sequences& sequences, size_t sequence, int64_t first, int64_t end,
                           const Matrix& got, const Matrix& want) {
  const int64_t width = sequences.shape().width;
  for (int64_t head = 0; head < sequences.shape().heads; ++head) {
    const std::vector<double> allowed = tolerances(sequences, sequence, head);
    for (int64_t p = first; p < end; ++p) {
      for (int64_t c = head * width; c < (head + 1) * width; ++c) {
        ASSERT_NEAR(got.at(p, c), want.at(p, c), allowed[static_cast<size_t>(p)]) << p << ' ' << c;
      }
    }
  }
}

TEST(Attention, MatchesTheReference) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(describe(shape));
    const Sequences sequences(shape, kLengths, 31);
    Runner ref(Device::kRef, {}, 1);
    const Cache ref_cache = sequences.cache();
    std::vector<Matrix> want = sequences.outputs();
    for (const auto& chunks : kSteps) sequences.run(ref, ref_cache, chunks, &want);
    for_each_set([&](Runner& runner) {
      const Cache cache = sequences.cache();
      std::vector<Matrix> got = sequences.outputs();
      for (const auto& chunks : kSteps) sequences.run(runner, cache, chunks, &got);
      EXPECT_TRUE(cache.same_bytes(ref_cache));
      for (size_t s = 0; s < kLengths.size(); ++s) {
        expect_near_reference(sequences, s, 0, kLengths[s], got[s], want[s]);
      }
    });
  }
}

// Steps of a few tokens after many positions that a prefill has left in the cache.
TEST(Attention, MatchesTheReferenceAtDepth) {
  const std::vector<Shape> shapes = {{8, 2, 128, DType::kF16},      {9, 3, 64, DType::kQ8_0},
                                     {7, 1, 72, DType::kBF16},      {4, 4, 32, DType::kF32},
                                     {4, 1, 256, DType::kF16, 512}, {2, 2, 96, DType::kBF16, 2047},
                                     {9, 3, 64, DType::kQ8_0, 31}};
  const std::vector<int64_t> lengths = {2999, 1027};
  const std::vector<Chunk> step = {{1, 1026, 1}, {0, 2994, 5}};
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(describe(shape));
    const Sequences sequences(shape, lengths, 38);
    Runner ref(Device::kRef, {}, 1);
    const Cache cache = sequences.cache();
    sequences.store(ref, cache, {{0, 0, 2994}, {1, 0, 1026}});
    std::vector<Matrix> want = sequences.outputs();
    sequences.run(ref, cache, step, &want);
    for (const CpuFeatures& set : instruction_sets()) {
      Runner one(Device::kCpu, set, 1);
      Runner five(Device::kCpu, set, 5);
      SCOPED_TRACE(one.name());
      std::vector<Matrix> got = sequences.outputs();
      std::vector<Matrix> shared = sequences.outputs();
      sequences.run(one, cache, step, &got);
      sequences.run(five, cache, step, &shared);
      for (const Chunk& chunk : step) {
        EXPECT_TRUE(shared[chunk.sequence].same_bytes(got[chunk.sequence]));
        expect_near_reference(sequences, chunk.sequence, chunk.first, chunk.first + chunk.count,
                              got[chunk.sequence], want[chunk.sequence]);
      }
    }
  }
}

// Alone, one token at a time and on one thread; as whole prompts; in chunks beside each other.
TEST(Attention, DoesNotDependOnChunksBatchOrThreads) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(describe(shape));
    const Sequences sequences(shape, kLengths, 32);
    for (const CpuFeatures& set : instruction_sets()) {
      Runner one(Device::kCpu, set, 1);
      const Cache one_cache = sequences.cache();
      std::vector<Matrix> want = sequences.outputs();
      for (size_t s = 0; s < kLengths.size(); ++s) {
        for (int64_t p = 0; p < kLengths[s]; ++p) {
          sequences.run(one, one_cache, {{s, p, 1}}, &want);
        }
      }
      for (const int threads : {1, 2, 3, 5}) {
        Runner runner(Device::kCpu, set, threads);
        SCOPED_TRACE(runner.name());
        const Cache cache = sequences.cache();
        std::vector<Matrix> got = sequences.outputs();
        if (threads % 2 == 1) {
          sequences.run(runner, cache, {{0, 0, kLengths[0]}, {1, 0, kLengths[1]}}, &got);
        } else {
          for (const auto& chunks : kSteps) sequences.run(runner, cache, chunks, &got);
        }
        for (size_t s = 0; s < kLengths.size(); ++s) {
          EXPECT_TRUE(got[s].same_bytes(want[s])) << "sequence " << s;
        }
      }
    }
  }
}

TEST(Attention, SequencesMayShareTheirFirstPages) {
  constexpr int64_t kShared = 2 * kPagePositions;
  for (const DType dtype : {DType::kF16, DType::kQ8_0}) {
    const Shape shape{8, 2, 64, dtype};
    Sequences sequences(shape, {80, 70}, 39);
    for (int64_t p = 0; p < kShared; ++p) {
      std::copy_n(&sequences.k(0).at(p, 0), 128, &sequences.k(1).at(p, 0));
      std::copy_n(&sequences.v(0).at(p, 0), 128, &sequences.v(1).at(p, 0));
    }
    for_each_set([&](Runner& runner) {
      const Cache apart = sequences.cache();
      std::vector<Matrix> want = sequences.outputs();
      sequences.run(runner, apart, {{0, 0, 80}, {1, 0, 70}}, &want);
      Cache cache = sequences.cache();
      cache.share(1, 0, kShared);
      std::vector<Matrix> got = sequences.outputs();
      sequences.run(runner, cache, {{0, 0, kShared}}, &got);
      sequences.run(runner, cache, {{0, kShared, 80 - kShared}, {1, kShared, 70 - kShared}}, &got);
      EXPECT_TRUE(got[0].same_bytes(want[0]));
      for (int64_t p = kShared; p < 70; ++p) {
        EXPECT_EQ(std::memcmp(&got[1].at(p, 0), &want[1].at(p, 0), 8 * 64 * 4), 0) << p;
      }
    });
  }
}

// What a q8_0 cache gives back is within half a step of what went in.
void expect_rounded(const float* got, const float* given) {
  float largest = 0;
  for (int64_t i = 0; i < kKvBlock; ++i) largest = std::max(largest, std::abs(given[i]));
  for (int64_t i = 0; i < kKvBlock; ++i) {
    // Half a step, and the scale's own rounding to 11 bits.
    EXPECT_NEAR(got[i], given[i], largest / 254 * 1.001 + std::abs(given[i]) * 0x1p-11);
  }
}

TEST(KvStore, RoundsToEightBits) {
  const Shape shape{2, 2, 64, DType::kQ8_0};
  const Sequences sequences(shape, {37}, 40);
  for_each_set([&](Runner& runner) {
    const Cache cache = sequences.cache();
    sequences.store(runner, cache, {{0, 0, 37}});
    for (int64_t p = 0; p < 37; ++p) {
      for (int64_t head = 0; head < 2; ++head) {
        float key[64], value[64];
        load_position(DType::kQ8_0, kv_page(cache.kv().keys, cache.pages(0), p, head),
                      KvPart::kKeys, 64, p % kPagePositions, key);
        load_position(DType::kQ8_0, kv_page(cache.kv().values, cache.pages(0), p, head),
                      KvPart::kValues, 64, p % kPagePositions, value);
        for (int64_t d = 0; d < 64; d += kKvBlock) {
          expect_rounded(key + d, &sequences.k(0).at(p, head * 64 + d));
          expect_rounded(value + d, &sequences.v(0).at(p, head * 64 + d));
        }
      }
    }
  });
}

// The reference itself: equal keys give the mean of the values, and the first position its own.
TEST(Attention, EqualKeysGiveTheMeanOfTheValues) {
  const Shape shape{2, 1, 8, DType::kF32};
  Sequences sequences(shape, {21}, 33);
  for (int64_t p = 0; p < 21; ++p) {
    for (int64_t d = 0; d < 8; ++d) sequences.k(0).at(p, d) = 0.5f;
  }
  for (const Device device : {Device::kRef, Device::kCpu}) {
    Runner runner(device, cpu_features(), 2);
    const Cache cache = sequences.cache();
    std::vector<Matrix> y = sequences.outputs();
    sequences.run(runner, cache, {{0, 0, 21}}, &y);
    std::vector<double> sums(8);
    for (int64_t p = 0; p < 21; ++p) {
      for (int64_t d = 0; d < 8; ++d) {
        sums[static_cast<size_t>(d)] += sequences.v(0).at(p, d);
        const double mean = sums[static_cast<size_t>(d)] / static_cast<double>(p + 1);
        EXPECT_NEAR(y[0].at(p, d), mean, 30 * kEpsilon * 4);
        EXPECT_NEAR(y[0].at(p, 8 + d), mean, 30 * kEpsilon * 4);
      }
    }
  }
}

TEST(Attention, TakesScoresThatExpCannotHold) {
  const Shape shape{1, 1, 8, DType::kF32};
  Sequences sequences(shape, {40}, 34);
  for (int64_t d = 0; d < 8; ++d) sequences.k(0).at(20, d) *= 1e4f;
  Runner ref(Device::kRef, {}, 1);
  const Cache ref_cache = sequences.cache();
  std::vector<Matrix> want = sequences.outputs();
  sequences.run(ref, ref_cache, {{0, 0, 40}}, &want);
  for_each_set([&](Runner& runner) {
    const Cache cache = sequences.cache();
    std::vector<Matrix> got = sequences.outputs();
    sequences.run(runner, cache, {{0, 0, 40}}, &got);
    expect_close(got[0], want[0], [&](int64_t, int64_t) { return 1e-4; });
  });
}

// A value that is infinite or no number stays with the tokens that may see it.
TEST(Attention, LaterTokensDoNotReachEarlierOnes) {
  const Shape shape{6, 2, 32, DType::kF16};
  const Sequences clean(shape, {30}, 36);
  const Sequences broken(shape, {30}, 36);
  for (int64_t d = 0; d < 64; ++d) {
    broken.k(0).at(21, d) = NAN;
    broken.v(0).at(21, d) = INFINITY;
  }
  for_each_set([&](Runner& runner) {
    const Cache clean_cache = clean.cache();
    const Cache broken_cache = broken.cache();
    std::vector<Matrix> want = clean.outputs();
    std::vector<Matrix> got = broken.outputs();
    clean.run(runner, clean_cache, {{0, 0, 30}}, &want);
    broken.run(runner, broken_cache, {{0, 0, 30}}, &got);
    for (int64_t p = 0; p < 21; ++p) {
      EXPECT_EQ(std::memcmp(&got[0].at(p, 0), &want[0].at(p, 0), 6 * 32 * 4), 0) << p;
    }
    EXPECT_TRUE(std::isnan(got[0].at(21, 0)));
  });
}

// Neither does one stay with tokens whose windows have left it: not as a key, nor as a value.
TEST(Attention, WhatHasLeftTheWindowIsGone) {
  constexpr int64_t kBroken = 70;
  for (const int64_t window : {1, 6, 40, 64}) {
    const Shape shape{6, 2, 32, DType::kF16, window};
    const Sequences clean(shape, {200}, 41);
    const Sequences broken(shape, {200}, 41);
    for (int64_t p = 0; p <= kBroken; ++p) {
      for (int64_t d = 0; d < 64; ++d) {
        broken.k(0).at(p, d) = NAN;
        broken.v(0).at(p, d) = INFINITY;
      }
    }
    for_each_set([&](Runner& runner) {
      const Cache clean_cache = clean.cache();
      const Cache broken_cache = broken.cache();
      std::vector<Matrix> want = clean.outputs();
      std::vector<Matrix> got = broken.outputs();
      clean.run(runner, clean_cache, {{0, 0, 200}}, &want);
      broken.run(runner, broken_cache, {{0, 0, 200}}, &got);
      for (int64_t p = kBroken + window; p < 200; ++p) {
        EXPECT_EQ(std::memcmp(&got[0].at(p, 0), &want[0].at(p, 0), 6 * 32 * 4), 0) << p;
      }
      EXPECT_FALSE(std::isfinite(got[0].at(kBroken + window - 1, 0)));
    });
  }
}

// The reference itself: within a window of three, equal keys give the mean of three values.
TEST(Attention, AWindowCountsTheTokenItself) {
  const Shape shape{1, 1, 8, DType::kF32, 3};
  Sequences sequences(shape, {21}, 42);
  for (int64_t p = 0; p < 21; ++p) {
    for (int64_t d = 0; d < 8; ++d) sequences.k(0).at(p, d) = 0.5f;
  }
  for (const Device device : {Device::kRef, Device::kCpu}) {
    Runner runner(device, cpu_features(), 2);
    const Cache cache = sequences.cache();
    std::vector<Matrix> y = sequences.outputs();
    sequences.run(runner, cache, {{0, 0, 21}}, &y);
    for (int64_t p = 2; p < 21; ++p) {
      const Matrix& v = sequences.v(0);
      const double mean = (double{v.at(p - 2, 0)} + v.at(p - 1, 0) + v.at(p, 0)) / 3;
      EXPECT_NEAR(y[0].at(p, 0), mean, 30 * kEpsilon * 4);
    }
  }
}

// The weights of two scores, 0 and -x, are 1 and exp(-x).
TEST(Softmax, WeightsAreWithinTwoUnitsInTheLastPlace) {
  for (const CpuFeatures& set : instruction_sets()) {
    const cpu::InnerLoops& loops = cpu::inner_loops(set);
    double worst = 0;
    for (int i = 0; i < 200'000; ++i) {
      const float x = static_cast<float>(i) * 110.0f / 200'000;
      float scores[16] = {3.0f, 3.0f - x};
      const double exact = std::exp(static_cast<double>(scores[1]) - 3.0);
      const cpu::SoftmaxState state = loops.softmax(scores, 2);
      ASSERT_EQ(scores[0], 1.0f);
      ASSERT_EQ(state.max, 3.0f);
      ASSERT_EQ(state.sum, scores[0] + scores[1]);
      const double unit = std::max(exact * 0x1p-23, 0x1p-149);
      worst = std::max(worst, std::abs(scores[1] - exact) / unit);
    }
    EXPECT_LE(worst, 2.0);
  }
}

TEST(Softmax, SumsAllWeightsAndNoOthers) {
  std::mt19937 random(37);
  for (const CpuFeatures& set : instruction_sets()) {
    const cpu::InnerLoops& loops = cpu::inner_loops(set);
    for (int64_t count = 1; count <= cpu::kSegment; ++count) {
      const Matrix scores(1, cpu::kSegment + 16, random, 3.0);
      std::fill(&scores.at(0, 0) + count, &scores.at(0, 0) + cpu::kSegment + 16, NAN);
      const Matrix given = scores.copy();
      const cpu::SoftmaxState state = loops.softmax(&scores.at(0, 0), count);
      ASSERT_EQ(state.max, *std::max_element(&given.at(0, 0), &given.at(0, 0) + count));
      double sum = 0;
      for (int64_t s = 0; s < count; ++s) {
        const double want = std::exp(static_cast<double>(given.at(0, s)) - state.max);
        const double units = 4 + state.max - given.at(0, s);  // exp, and the difference before it
        ASSERT_NEAR(scores.at(0, s), want, units * kEpsilon * want);
        sum += want;
      }
      ASSERT_NEAR(state.sum, sum, (static_cast<double>(count) + 16) * kEpsilon * sum);
    }
  }
}

TEST(Attention, TakesNoTokens) {
  const Shape shape{2, 1, 8, DType::kF16};
  const Sequences sequences(shape, {4}, 35);
  const Cache cache = sequences.cache();
  for (const Device device : {Device::kRef, Device::kCpu}) {
    Runner runner(device, {}, 2);
    const ConstTensor none(nullptr, DType::kF32, {0, 8});
    kv_store(runner.ctx(), cache.kv(), none, none, {});
    attention(runner.ctx(), Tensor(nullptr, DType::kF32, {0, 16}),
              ConstTensor(nullptr, DType::kF32, {0, 16}), cache.kv(), {}, 1.0f, 0);
  }
}

}  // namespace
}  // namespace hachi::ops
