// Needles in a context of 65,000 positions, at the shape of Qwen3-8B: a query that is aligned with
// one key, at each of ten depths, has that position's value as its result, and all results are
// those of double loops.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_memory.cuh"

namespace hachi::ops::cuda {
namespace {

constexpr int kHeads = 32, kKvHeads = 8, kWidth = 128, kNeedles = 10;
constexpr int kRowWidth = (kHeads + 2 * kKvHeads) * kWidth;
constexpr int kContext = 65000;  // positions, the newest with it
constexpr int kPages = (kContext + kPage - 1) / kPage;
constexpr float kAim = 2.5f;  // times the key

// A number of about the normal distribution's spread, a function of its index.
float noise(uint64_t i) {
  uint64_t h = (i + 1) * 0x9e3779b97f4a7c15u;
  h ^= h >> 32, h *= 0xd6e8feb86659fd93u, h ^= h >> 32;
  return (static_cast<float>(h >> 40) * 0x1p-24f - 0.5f) * 3.4641f;
}

// The needles are from one end to the other, none at the border of a tile.
int depth_of(int needle) { return 5 + needle * (kContext - 200) / (kNeedles - 1); }

// `queries` new tokens at the end of the context, the last kNeedles of which look for needles:
// as many sequences with one token each that share all pages but the last one, or one sequence.
class Haystack {
 public:
  Haystack(DType cache, bool one) : cache_(cache), one_(one), tokens_(one ? kNeedles : 100) {
    make_batch();
    make_cache();
    make_rows();
  }

  void run() {
    Buffer x(x_), keys(keys_), values(values_), cos_sin(cos_sin_), positions(positions_),
        sequences(sequences_), first_token(first_token_), first_page(first_page_), pages(pages_);
    Buffer y(static_cast<size_t>(tokens_) * kHeads * kWidth * 2);
    Buffer workspace(std::vector<char>(attention_workspace(tokens_, kHeads, kWidth), 0));
    Attention a;
    a.num_heads = kHeads, a.num_kv_heads = kKvHeads, a.head_dim = kWidth;
    a.stride = kRowWidth;
    a.q = x.as<char>(), a.k = x.as<char>() + 2 * kHeads * kWidth;
    a.v = x.as<char>() + 2 * (kHeads + kKvHeads) * kWidth;
    a.cos_sin = cos_sin.as<float>();
    a.kv = {keys.as(), values.as(), page_bytes(), cache_};
    a.batch = {.positions = positions.as<int32_t>(),
               .sequences = sequences.as<int32_t>(),
               .first_token = first_token.as<int32_t>(),
               .first_page = first_page.as<int32_t>(),
               .pages = pages.as<int32_t>(),
               .num_tokens = tokens_,
               .num_sequences = one_ ? kNeedles : 1};
    a.score_scale = scale(), a.y = y.as(), a.workspace = workspace.as();
    one_ ? attend_one(nullptr, a) : attend_many(nullptr, a, kContext);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    y_ = y.bytes(), keys_ = keys.bytes(), values_ = values.bytes();
  }

  // Every fifth head is of another kv head.
  void check() const {
    double error = 0, size = 0, found = 0;
    for (int n = 0; n < kNeedles; ++n) {
      const int token = tokens_ - kNeedles + n;
      for (int head = n % 5; head < kHeads; head += 5) {
        const std::vector<double> want = attended(token, head);
        double away = 0, norm = 0;
        for (int d = 0; d < kWidth; ++d) {
          const double got = get(DType::kBF16, y_.data(), (token * kHeads + head) * kWidth + d);
          const double value =
              get(cache_, values_.data(), at(page_of(0, depth_of(n)), head / 4, depth_of(n), d));
          error += (got - want[d]) * (got - want[d]), size += want[d] * want[d];
          away += (got - value) * (got - value), norm += value * value;
        }
        found = std::max(found, std::sqrt(away / norm));
      }
    }
    printf("  relative error %.1e; at most %.1e from the needle's value\n", std::sqrt(error / size),
           found);
    EXPECT_LE(std::sqrt(error / size), 4e-3);
    EXPECT_LE(found, 3e-2);
  }

 private:
  static float scale() { return 1 / std::sqrt(static_cast<float>(kWidth)); }
  int64_t page_bytes() const { return int64_t{kKvHeads} * kPage * kWidth * bytes_of(cache_); }
  static int64_t at(int page, int head, int position, int d) {
    return ((int64_t{page} * kKvHeads + head) * kPage + position % kPage) * kWidth + d;
  }
  int page_of(int sequence, int position) const {
    return pages_[first_page_[sequence] + position / kPage];
  }

  void make_batch() {
    const int sequences = one_ ? kNeedles : 1;
    first_token_.push_back(0);
    for (int s = 0; s < sequences; ++s) {
      first_page_.push_back(static_cast<int>(pages_.size()));
      // In no order; the last is the sequence's own.
      for (int p = 0; p + 1 < kPages; ++p) pages_.push_back(p * 37 % (kPages - 1));
      pages_.push_back(kPages - 1 + s);
      const int own = tokens_ / sequences;
      for (int t = 0; t < own; ++t) {
        positions_.push_back(kContext - own + t), sequences_.push_back(s);
      }
      first_token_.push_back(first_token_.back() + own);
    }
  }

  void make_cache() {
    const int64_t pages = kPages + kNeedles;
    keys_.assign(static_cast<size_t>(pages * page_bytes()), 0);
    values_ = keys_;
    const auto count = static_cast<int64_t>(keys_.size()) / bytes_of(cache_);
    for (int64_t i = 0; i < count; ++i) {
      put(cache_, keys_.data(), i, noise(static_cast<uint64_t>(i)));
      put(cache_, values_.data(), i, noise(static_cast<uint64_t>(i + count)));
    }
  }

  // Queries that are aimed at keys are turned back by the angles that they are going to be turned.
  void make_rows() {
    x_.assign(static_cast<size_t>(tokens_) * kRowWidth * 2, 0);
    for (int t = 0; t < tokens_; ++t) {
      for (int i = 0; i < kRowWidth; ++i) {
        put(DType::kBF16, x_.data(), int64_t{t} * kRowWidth + i,
            noise((1ull << 40) + t * 8191 + i));
      }
      for (int i = 0; i < kWidth / 2; ++i) cos_sin_.push_back(std::cos(angle(t, i)));
      for (int i = 0; i < kWidth / 2; ++i) cos_sin_.push_back(std::sin(angle(t, i)));
      const int needle = t - (tokens_ - kNeedles);
      if (needle < 0) continue;
      const int page = page_of(0, depth_of(needle));
      for (int h = 0; h < kHeads; ++h) {
        for (int i = 0; i < kWidth / 2; ++i) {
          const float a = get(cache_, keys_.data(), at(page, h / 4, depth_of(needle), i));
          const float b =
              get(cache_, keys_.data(), at(page, h / 4, depth_of(needle), i + kWidth / 2));
          const float cos = std::cos(angle(t, i)), sin = std::sin(angle(t, i));
          const int64_t to = int64_t{t} * kRowWidth + h * kWidth + i;
          put(DType::kBF16, x_.data(), to, kAim * (a * cos + b * sin));
          put(DType::kBF16, x_.data(), to + kWidth / 2, kAim * (b * cos - a * sin));
        }
      }
    }
  }
  static float angle(int token, int i) { return 3 * noise((1ull << 41) + token * 64 + i); }

  // With the keys and values that are in the cache now.
  std::vector<double> attended(int token, int head) const {
    std::vector<float> q(kWidth);
    const int64_t from = int64_t{token} * kRowWidth + head * kWidth;
    for (int i = 0; i < kWidth / 2; ++i) {
      const double a = get(DType::kBF16, x_.data(), from + i);
      const double b = get(DType::kBF16, x_.data(), from + i + kWidth / 2);
      const double cos = cos_sin_[token * kWidth + i];
      const double sin = cos_sin_[token * kWidth + kWidth / 2 + i];
      const DType type = cache_ == DType::kBF16 ? DType::kBF16 : DType::kF16;
      q[i] = rounded(type, a * cos - b * sin);
      q[i + kWidth / 2] = rounded(type, b * cos + a * sin);
    }
    const int position = positions_[token];
    std::vector<double> scores(position + 1), out(kWidth, 0.0);
    for (int p = 0; p <= position; ++p) {
      const int64_t key = at(page_of(sequences_[token], p), head / 4, p, 0);
      double score = 0;
      for (int d = 0; d < kWidth; ++d) score += q[d] * get(cache_, keys_.data(), key + d);
      scores[p] = score * scale();
    }
    const double top = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    for (int p = 0; p <= position; ++p) {
      const int64_t value = at(page_of(sequences_[token], p), head / 4, p, 0);
      const double w = std::exp(scores[p] - top);
      total += w;
      for (int d = 0; d < kWidth; ++d) out[d] += w * get(cache_, values_.data(), value + d);
    }
    for (double& v : out) v /= total;
    return out;
  }

  DType cache_;
  bool one_;
  int tokens_;
  std::vector<int32_t> positions_, sequences_, first_token_, first_page_, pages_;
  std::vector<unsigned char> keys_, values_, x_, y_;
  std::vector<float> cos_sin_;
};

TEST(AttendOne, FindsNeedles) {
  for (DType cache : {DType::kBF16, DType::kF8E4M3}) {
    Haystack haystack(cache, true);
    haystack.run();
    haystack.check();
  }
}

TEST(AttendMany, FindsNeedles) {
  for (DType cache : {DType::kBF16, DType::kF8E4M3}) {
    Haystack haystack(cache, false);
    haystack.run();
    haystack.check();
  }
}

}  // namespace
}  // namespace hachi::ops::cuda
