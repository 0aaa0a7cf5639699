// Whole sequences with their caches, and the running of chunks of them through kv_store and
// attention: for the tests of both.
#pragma once

#include <numeric>
#include <span>

#include "kernels/kv_page.h"
#include "kernels/testing.h"

namespace hachi::ops {

struct Shape {
  int64_t heads, kv_heads, width;
  DType dtype;
  int64_t window = 0;
};

// A cache with room for some sequences, whose pages lie in no order. Unwritten slots hold NaN, so
// that reading one shows.
class Cache {
 public:
  Cache(const Shape& shape, const std::vector<int64_t>& lengths, std::mt19937& random)
      : keys_(0, 0), values_(0, 0) {
    int32_t num_pages = 0;
    for (int64_t length : lengths) {
      const auto count = static_cast<size_t>((length + kPagePositions - 1) / kPagePositions);
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
    const int64_t row = shape.kv_heads * kPagePositions * shape.width;
    keys_ = Bytes(num_pages * row_bytes(shape.dtype, row), 4);
    values_ = Bytes(num_pages * row_bytes(shape.dtype, row), 4);
    std::memset(keys_.data(), 0xff, static_cast<size_t>(keys_.size()));
    std::memset(values_.data(), 0xff, static_cast<size_t>(values_.size()));
    kv_ = {
        Tensor(keys_.data(), shape.dtype, {num_pages, shape.kv_heads, shape.width, kPagePositions}),
        Tensor(values_.data(), shape.dtype,
               {num_pages, shape.kv_heads, kPagePositions, shape.width})};
  }
  const KvLayer& kv() const { return kv_; }
  std::span<const int32_t> pages(size_t sequence) const { return pages_[sequence]; }
  // Lets `sequence` have its first positions, whole pages of them, where `owner` has its own.
  void share(size_t sequence, size_t owner, int64_t positions) {
    std::copy_n(pages_[owner].begin(), positions / kPagePositions, pages_[sequence].begin());
  }
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

class Batch {
 public:
  Batch(const Cache& cache, const std::vector<Chunk>& chunks) {
    for (const Chunk& chunk : chunks) {
      spans_.push_back({rows(), chunk.count, cache.pages(chunk.sequence)});
      for (int64_t p = 0; p < chunk.count; ++p) {
        positions_.push_back(static_cast<int32_t>(chunk.first + p));
      }
    }
  }
  int64_t rows() const { return static_cast<int64_t>(positions_.size()); }
  BatchView view() const { return {{}, positions_, spans_}; }

 private:
  std::vector<SequenceSpan> spans_;
  std::vector<int32_t> positions_;
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

  void store(Runner& runner, const Cache& cache, const std::vector<Chunk>& chunks) const {
    const Batch batch(cache, chunks);
    const Matrix k = packed(k_, chunks, batch.rows());
    const Matrix v = packed(v_, chunks, batch.rows());
    kv_store(runner.ctx(), cache.kv(), k.tensor(), v.tensor(), batch.view());
  }

  // store, then attention.
  void run(Runner& runner, const Cache& cache, const std::vector<Chunk>& chunks,
           std::vector<Matrix>* y) const {
    store(runner, cache, chunks);
    const Batch batch(cache, chunks);
    const Matrix q = packed(q_, chunks, batch.rows());
    const Matrix out(batch.rows(), q.columns());
    attention(runner.ctx(), out.tensor(), q.tensor(), cache.kv(), batch.view(), score_scale(),
              shape_.window);
    int64_t row = 0;
    for (const Chunk& chunk : chunks) {
      for (int64_t p = chunk.first; p < chunk.first + chunk.count; ++p, ++row) {
        std::copy_n(&out.at(row, 0), out.columns(), &(*y)[chunk.sequence].at(p, 0));
      }
    }
  }

  float score_scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.width)); }
  const Shape& shape() const { return shape_; }
  const Matrix& q(size_t sequence) const { return q_[sequence]; }
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

}  // namespace hachi::ops
