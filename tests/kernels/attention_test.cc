// attention and kv_store, which only make sense together.
#include <numeric>

#include "kernels/cpu/select.h"
#include "kernels/testing.h"

namespace hachi::ops {
namespace {

struct Shape {
  int64_t heads, kv_heads, width, page_size;
  DType dtype;
};

// A cache with room for some sequences, whose pages lie in no order. Unwritten slots hold NaN, so
// that reading one shows.
class Cache {
 public:
  Cache(const Shape& shape, const std::vector<int64_t>& lengths, std::mt19937& random)
      : keys_(0, 0), values_(0, 0) {
    int32_t num_pages = 0;
    for (int64_t length : lengths) {
      const auto count = static_cast<size_t>((length + shape.page_size - 1) / shape.page_size);
      pages_.emplace_back(count);
      std::iota(pages_.back().begin(), pages_.back().end(), num_pages);
      num_pages += static_cast<int32_t>(count);
    }
    std::vector<int32_t> places(static_cast<size_t>(num_pages));
    std::iota(places.begin(), places.end(), 0);
    std::shuffle(places.begin(), places.end(), random);
    for (auto& pages : pages_) {
      for (int32_t& page : pages) page = places[static_cast<size_t>(page)];
    }
    const int64_t row = shape.kv_heads * shape.page_size * shape.width;
    keys_ = Bytes(num_pages * row_bytes(shape.dtype, row), 4);
    values_ = Bytes(num_pages * row_bytes(shape.dtype, row), 4);
    std::memset(keys_.data(), 0xff, static_cast<size_t>(keys_.size()));
    std::memset(values_.data(), 0xff, static_cast<size_t>(values_.size()));
    const auto tensor = [&](const Bytes& bytes) {
      return Tensor(bytes.data(), shape.dtype,
                    {num_pages, shape.kv_heads, shape.page_size, shape.width});
    };
    kv_ = {tensor(keys_), tensor(values_)};
  }
  const KvLayer& kv() const { return kv_; }
  std::span<const int32_t> pages(size_t sequence) const { return pages_[sequence]; }
  bool same_bytes(const Cache& other) const {
    const auto size = static_cast<size_t>(keys_.size());
    return std::memcmp(keys_.data(), other.keys_.data(), size) == 0 &&
           std::memcmp(values_.data(), other.values_.data(), size) == 0;
  }

 private:
  Bytes keys_, values_;
  KvLayer kv_;
  std::vector<std::vector<int32_t>> pages_;
};

// One chunk of a sequence in a batch.
struct Chunk {
  size_t sequence;
  int64_t first, count;  // positions
};

// The q, k and v of whole sequences, and the running of chunks of them through the ops.
class Sequences {
 public:
  Sequences(const Shape& shape, const std::vector<int64_t>& lengths, uint32_t seed)
      : shape_(shape), lengths_(lengths), seed_(seed) {
    std::mt19937 random(seed);
    for (int64_t length : lengths) {
      q_.emplace_back(length, shape.heads * shape.width, random, 2.0);
      k_.emplace_back(length, shape.kv_heads * shape.width, random);
      v_.emplace_back(length, shape.kv_heads * shape.width, random);
    }
  }

  Cache cache() const {
    std::mt19937 random(seed_ + 1);
    return Cache(shape_, lengths_, random);
  }
  std::vector<Matrix> outputs() const {
    std::vector<Matrix> y;
    for (int64_t length : lengths_) y.emplace_back(length, shape_.heads * shape_.width);
    return y;
  }

  void run(Runner& runner, const Cache& cache, const std::vector<Chunk>& chunks,
           std::vector<Matrix>* y) const {
    std::vector<SequenceSpan> spans;
    std::vector<int32_t> positions;
    for (const Chunk& chunk : chunks) {
      spans.push_back(
          {static_cast<int64_t>(positions.size()), chunk.count, cache.pages(chunk.sequence)});
      for (int64_t p = 0; p < chunk.count; ++p) {
        positions.push_back(static_cast<int32_t>(chunk.first + p));
      }
    }
    const BatchView batch{{}, positions, spans};
    const auto rows = static_cast<int64_t>(positions.size());
    const Matrix q = packed(q_, chunks, rows);
    const Matrix k = packed(k_, chunks, rows);
    const Matrix v = packed(v_, chunks, rows);
    Matrix out(rows, q.columns());
    kv_store(runner.ctx(), cache.kv(), k.tensor(), v.tensor(), batch);
    attention(runner.ctx(), out.tensor(), q.tensor(), cache.kv(), batch, score_scale());
    int64_t row = 0;
    for (const Chunk& chunk : chunks) {
      for (int64_t p = chunk.first; p < chunk.first + chunk.count; ++p, ++row) {
        std::copy_n(&out.at(row, 0), out.columns(), &(*y)[chunk.sequence].at(p, 0));
      }
    }
  }

  float score_scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.width)); }
  const Matrix& k(size_t sequence) const { return k_[sequence]; }
  const Matrix& v(size_t sequence) const { return v_[sequence]; }

 private:
  static Matrix packed(const std::vector<Matrix>& all, const std::vector<Chunk>& chunks,
                       int64_t rows) {
    Matrix out(rows, all[0].columns());
    int64_t row = 0;
    for (const Chunk& chunk : chunks) {
      for (int64_t p = chunk.first; p < chunk.first + chunk.count; ++p) {
        std::copy_n(&all[chunk.sequence].at(p, 0), out.columns(), &out.at(row++, 0));
      }
    }
    return out;
  }

  Shape shape_;
  std::vector<int64_t> lengths_;
  uint32_t seed_;
  std::vector<Matrix> q_, k_, v_;
};

const std::vector<Shape> kShapes = {
    {1, 1, 8, 16, DType::kF32},   {3, 1, 16, 16, DType::kF16},   {4, 2, 24, 20, DType::kBF16},
    {9, 3, 64, 32, DType::kF16},  {8, 2, 128, 64, DType::kBF16}, {5, 5, 96, 16, DType::kF16},
    {2, 1, 256, 16, DType::kF32}, {40, 1, 8, 48, DType::kF32},
};

std::string describe(const Shape& s) {
  return fmt::format("H={} G={} D={} P={} {}", s.heads, s.kv_heads, s.width, s.page_size,
                     name(s.dtype));
}

// Prefill of two sequences at once, then a second chunk of one beside decode steps of the other.
const std::vector<int64_t> kLengths = {75, 18};
const std::vector<std::vector<Chunk>> kSteps = {
    {{0, 0, 33}, {1, 0, 16}}, {{1, 16, 1}, {0, 33, 41}}, {{0, 74, 1}, {1, 17, 1}}};

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
      // A score of size s with an error of e changes its weight by e; scores are sums of D products
      // of size up to about 40. Weights then average values of size up to about 4.
      const double score_error = (static_cast<double>(shape.width) / 8 + 6) * kEpsilon * 40;
      const double sum_error = (static_cast<double>(kLengths[0]) + 8) * kEpsilon;
      for (size_t s = 0; s < kLengths.size(); ++s) {
        expect_close(got[s], want[s],
                     [&](int64_t, int64_t) { return 4 * (2 * score_error + sum_error); });
      }
    });
  }
}

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
        const Cache whole_cache = sequences.cache();
        std::vector<Matrix> whole = sequences.outputs();
        sequences.run(runner, whole_cache, {{0, 0, 75}, {1, 0, 18}}, &whole);
        const Cache cut_cache = sequences.cache();
        std::vector<Matrix> cut = sequences.outputs();
        for (const auto& chunks : kSteps) sequences.run(runner, cut_cache, chunks, &cut);
        for (size_t s = 0; s < kLengths.size(); ++s) {
          EXPECT_TRUE(whole[s].same_bytes(want[s])) << "whole, sequence " << s;
          EXPECT_TRUE(cut[s].same_bytes(want[s])) << "in chunks, sequence " << s;
        }
      }
    }
  }
}

// The reference itself: equal keys give the mean of the values, and the first position its own.
TEST(Attention, EqualKeysGiveTheMeanOfTheValues) {
  const Shape shape{2, 1, 8, 16, DType::kF32};
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
  const Shape shape{1, 1, 8, 16, DType::kF32};
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
  const Shape shape{6, 2, 32, 16, DType::kF16};
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

// The weights of two scores, 0 and -x, are 1 and exp(-x).
TEST(Softmax, WeightsAreWithinTwoUnitsInTheLastPlace) {
  for (const CpuFeatures& set : instruction_sets()) {
    const cpu::InnerLoops& loops = cpu::inner_loops(set);
    double worst = 0;
    for (int i = 0; i < 200'000; ++i) {
      const float x = static_cast<float>(i) * 110.0f / 200'000;
      float scores[cpu::kAttentionTile] = {0.0f, -x};
      cpu::SoftmaxState state{-INFINITY, 0.0f};
      loops.softmax(scores, 2, 1.0f, &state);
      ASSERT_EQ(scores[0], 1.0f);
      ASSERT_EQ(scores[2], 0.0f);
      const double want = std::exp(-static_cast<double>(x));
      const double unit = std::max(want * 0x1p-23, 0x1p-149);
      worst = std::max(worst, std::abs(scores[1] - want) / unit);
    }
    EXPECT_LE(worst, 2.0);
  }
}

TEST(Attention, TakesNoTokens) {
  const Shape shape{2, 1, 8, 16, DType::kF16};
  const Sequences sequences(shape, {4}, 35);
  const Cache cache = sequences.cache();
  for (const Device device : {Device::kRef, Device::kCpu}) {
    Runner runner(device, {}, 2);
    const ConstTensor none(nullptr, DType::kF32, {0, 8});
    kv_store(runner.ctx(), cache.kv(), none, none, {});
    attention(runner.ctx(), Tensor(nullptr, DType::kF32, {0, 16}),
              ConstTensor(nullptr, DType::kF32, {0, 16}), cache.kv(), {}, 1.0f);
  }
}

}  // namespace
}  // namespace hachi::ops
