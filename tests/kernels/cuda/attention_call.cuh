// One call of attention on a GPU, and the same in double loops on the host.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_memory.cuh"
#include "kernels/cuda/attention_parts.h"

namespace hachi::ops::cuda {

struct Sequence {
  int cached;  // positions before
  int tokens;
  unsigned seed;
};

struct Case {
  int heads = 32, kv_heads = 8, width = 128;
  DType type = DType::kBF16, cache = DType::kBF16;
  int64_t window = 0;
  bool norm = true, interleaved = false;
  bool one = true;     // attend_one()
  bool mixed = false;  // attend_mixed(); not `one`
  bool next_int8 = false;
  std::vector<Sequence> sequences;
};

// One call: its inputs on both sides, and its results.
class Call {
 public:
  explicit Call(const Case& c) : c_(c) {
    stride_ = (c.heads + 2 * c.kv_heads) * c.width + 8;
    std::mt19937 order(5);
    make_batch(order);
    make_activations();
    make_cache();
  }

  void on_gpu() {
    const int tokens = num_tokens();
    const size_t element = static_cast<size_t>(bytes_of(c_.type));
    Buffer x(x_), keys(keys_), values(values_), cos_sin(cos_sin_), qn(query_norm_), kn(key_norm_);
    Buffer positions(positions_), sequences(sequence_of_), first_token(first_token_),
        first_page(first_page_), pages(pages_);
    const size_t width = static_cast<size_t>(c_.heads * c_.width);
    Buffer y(width * tokens * element), next(width * tokens * (c_.next_int8 ? 1 : 2)),
        groups(width * tokens / 32 * sizeof(OperandGroup));
    Buffer workspace(std::vector<char>(attention_workspace(tokens, c_.heads, c_.width), 0));
    Attention a;
    a.num_heads = c_.heads, a.num_kv_heads = c_.kv_heads, a.head_dim = c_.width;
    a.type = c_.type, a.stride = stride_;
    a.q = x.as<char>();
    a.k = x.as<char>() + element * c_.heads * c_.width;
    a.v = x.as<char>() + element * (c_.heads + c_.kv_heads) * c_.width;
    if (c_.norm) a.query_norm = qn.as<float>(), a.key_norm = kn.as<float>();
    a.eps = kEps, a.cos_sin = cos_sin.as<float>(), a.interleaved = c_.interleaved;
    a.kv = {keys.as(), values.as(), page_bytes(), c_.cache};
    a.batch.positions = positions.as<int32_t>(), a.batch.sequences = sequences.as<int32_t>();
    a.batch.first_token = first_token.as<int32_t>(), a.batch.first_page = first_page.as<int32_t>();
    a.batch.pages = pages.as<int32_t>();
    a.batch.num_tokens = tokens, a.batch.num_sequences = static_cast<int64_t>(c_.sequences.size());
    a.score_scale = scale(), a.window = c_.window, a.y = y.as(), a.workspace = workspace.as();
    if (c_.one) {
      a.next.type = c_.next_int8 ? OperandType::kInt8 : OperandType::kBF16;
      a.next.rows = next.as(), a.next.groups = groups.as<OperandGroup>();
      attend_one(nullptr, a);
      EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      // Again, with the workspace as it was left and the cache as it now is.
      EXPECT_EQ(cudaMemset(y.as(), 0xff, width * tokens * element), cudaSuccess);
      EXPECT_EQ(cudaMemcpy(x.as(), x_.data(), x_.size(), cudaMemcpyHostToDevice), cudaSuccess);
      attend_one(nullptr, a);
    } else {
      int context = 0;
      for (int p : positions_) context = std::max(context, p + 1);
      if (c_.mixed) {
        attend_mixed(nullptr, a, context, num_singles());
      } else {
        attend_many(nullptr, a, context);
      }
    }
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    y_ = y.bytes(), next_ = next.bytes(), groups_ = groups.bytes();
    new_keys_ = keys.bytes(), new_values_ = values.bytes();
    if (c_.one && num_tokens() <= 64) check_workspace(workspace.bytes());
  }

  void check() {
    check_cache();
    check_results();
    if (c_.one) check_next();
  }

  // The first sequence's cache as another call has left it.
  void continue_after(const Call& other) {
    const size_t size = static_cast<size_t>(page_bytes());
    for (int i = 0; i * kPage < c_.sequences[0].cached; ++i) {
      std::memcpy(&keys_[pages_[i] * size], &other.new_keys_[other.pages_[i] * size], size);
      std::memcpy(&values_[pages_[i] * size], &other.new_values_[other.pages_[i] * size], size);
    }
  }

  int num_tokens() const { return first_token_.back(); }
  // Of the first sequences, those of one token.
  int num_singles() const {
    const auto is_more = [](const Sequence& s) { return s.tokens != 1; };
    const auto first = std::find_if(c_.sequences.begin(), c_.sequences.end(), is_more);
    return static_cast<int>(first - c_.sequences.begin());
  }
  std::vector<unsigned char> result(int sequence) const {
    const size_t row = static_cast<size_t>(c_.heads * c_.width * bytes_of(c_.type));
    return {y_.begin() + row * first_token_[sequence],
            y_.begin() + row * first_token_[sequence + 1]};
  }

 private:
  static constexpr float kEps = 1e-6f;

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(c_.width)); }
  int64_t page_bytes() const {
    return int64_t{c_.kv_heads} * kPage * c_.width * bytes_of(c_.cache);
  }
  int64_t cache_index(int page, int head, int position, int d) const {
    return ((int64_t{page} * c_.kv_heads + head) * kPage + position % kPage) * c_.width + d;
  }

  // Pages in random order, some of them nobody's.
  void make_batch(std::mt19937& order) {
    int count = 0;
    first_token_.push_back(0);
    for (const Sequence& s : c_.sequences) count += (s.cached + s.tokens + kPage - 1) / kPage;
    num_pages_ = count + 3;
    std::vector<int> free(num_pages_);
    std::iota(free.begin(), free.end(), 0);
    std::shuffle(free.begin(), free.end(), order);
    for (size_t s = 0; s < c_.sequences.size(); ++s) {
      const Sequence& sequence = c_.sequences[s];
      first_page_.push_back(static_cast<int>(pages_.size()));
      for (int p = 0; p < (sequence.cached + sequence.tokens + kPage - 1) / kPage; ++p) {
        pages_.push_back(free.back());
        free.pop_back();
      }
      for (int t = 0; t < sequence.tokens; ++t) {
        positions_.push_back(sequence.cached + t);
        sequence_of_.push_back(static_cast<int>(s));
      }
      first_token_.push_back(first_token_.back() + sequence.tokens);
    }
  }

  // What a token holds depends on its sequence and position alone.
  void make_activations() {
    const int tokens = num_tokens();
    x_.assign(static_cast<size_t>(tokens * stride_ * bytes_of(c_.type)), 0xff);
    cos_sin_.resize(static_cast<size_t>(tokens * c_.width));
    for (int t = 0; t < tokens; ++t) {
      std::mt19937 random(c_.sequences[sequence_of_[t]].seed * 1000003u + positions_[t]);
      std::normal_distribution<float> normal;
      for (int i = 0; i < stride_ - 8; ++i) {
        put(c_.type, x_.data(), int64_t{t} * stride_ + i, normal(random));
      }
      for (int i = 0; i < c_.width / 2; ++i) {
        const float angle = 3 * normal(random);
        cos_sin_[t * c_.width + i] = std::cos(angle);
        cos_sin_[t * c_.width + c_.width / 2 + i] = std::sin(angle);
      }
    }
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    for (int i = 0; i < c_.width; ++i) {
      query_norm_.push_back(1.2f + 0.3f * normal(random));
      key_norm_.push_back(1.2f + 0.3f * normal(random));
    }
  }

  void make_cache() {
    keys_.assign(static_cast<size_t>(num_pages_ * page_bytes()), 0xff);
    values_ = keys_;
    for (size_t s = 0; s < c_.sequences.size(); ++s) {
      for (int p = 0; p < c_.sequences[s].cached; ++p) {
        std::mt19937 random(c_.sequences[s].seed * 7919u + p);
        std::normal_distribution<float> normal;
        for (int g = 0; g < c_.kv_heads; ++g) {
          for (int d = 0; d < c_.width; ++d) {
            const int64_t at = cache_index(pages_[first_page_[s] + p / kPage], g, p, d);
            put(c_.cache, keys_.data(), at, normal(random));
            put(c_.cache, values_.data(), at, normal(random));
          }
        }
      }
    }
  }

  // Head `head` of the token's heads of q and k, normed and rotated.
  std::vector<double> prepared(int token, int head) const {
    const int n = c_.width;
    std::vector<double> x(n), y(n);
    for (int d = 0; d < n; ++d) {
      x[d] = get(c_.type, x_.data(), int64_t{token} * stride_ + head * n + d);
    }
    if (c_.norm) {
      double squares = 0;
      for (double v : x) squares += v * v;
      const auto& weight = head < c_.heads ? query_norm_ : key_norm_;
      for (int d = 0; d < n; ++d) x[d] *= weight[d] / std::sqrt(squares / n + kEps);
    }
    for (int i = 0; i < n / 2; ++i) {
      const int a = c_.interleaved ? 2 * i : i, b = c_.interleaved ? 2 * i + 1 : i + n / 2;
      const double cos = cos_sin_[token * n + i], sin = cos_sin_[token * n + n / 2 + i];
      y[a] = x[a] * cos - x[b] * sin;
      y[b] = x[b] * cos + x[a] * sin;
    }
    return y;
  }

  void check_cache() {
    auto old_keys = keys_, old_values = values_;
    const double unit = c_.cache == DType::kF32    ? 1e-5
                        : c_.cache == DType::kF16  ? 1e-3
                        : c_.cache == DType::kBF16 ? 8e-3
                                                   : 0.13;
    for (int t = 0; t < num_tokens(); ++t) {
      const int p = positions_[t], page = pages_[first_page_[sequence_of_[t]] + p / kPage];
      for (int g = 0; g < c_.kv_heads; ++g) {
        const std::vector<double> key = prepared(t, c_.heads + g);
        for (int d = 0; d < c_.width; ++d) {
          const int64_t at = cache_index(page, g, p, d);
          const float v = get(c_.type, x_.data(),
                              int64_t{t} * stride_ + (c_.heads + c_.kv_heads + g) * c_.width + d);
          ASSERT_NEAR(get(c_.cache, new_keys_.data(), at), key[d], unit * (0.01 + std::abs(key[d])))
              << "key of token " << t << " head " << g << " element " << d;
          ASSERT_EQ(get(c_.cache, new_values_.data(), at), rounded(c_.cache, v));
          const size_t n = static_cast<size_t>(bytes_of(c_.cache));
          std::memcpy(&old_keys[at * n], &new_keys_[at * n], n);
          std::memcpy(&old_values[at * n], &new_values_[at * n], n);
        }
      }
    }
    EXPECT_TRUE(old_keys == new_keys_ && old_values == new_values_) << "other positions changed";
  }

  std::vector<double> attended(int token, int head, DType query_type) const {
    std::vector<double> q = prepared(token, head), out(c_.width, 0.0);
    for (double& v : q) v = rounded(query_type, v);
    const int position = positions_[token], group = head / (c_.heads / c_.kv_heads);
    const int* pages = &pages_[first_page_[sequence_of_[token]]];
    const int first =
        c_.window > 0 ? std::max<int>(0, position - static_cast<int>(c_.window) + 1) : 0;
    std::vector<double> p;
    double top = -std::numeric_limits<double>::infinity(), total = 0;
    for (int s = first; s <= position; ++s) {
      double score = 0;
      const int64_t at = cache_index(pages[s / kPage], group, s, 0);
      for (int d = 0; d < c_.width; ++d) score += q[d] * get(c_.cache, new_keys_.data(), at + d);
      p.push_back(score * scale());
      top = std::max(top, p.back());
    }
    for (int s = first; s <= position; ++s) {
      const double w = std::exp(p[s - first] - top);
      total += w;
      const int64_t at = cache_index(pages[s / kPage], group, s, 0);
      for (int d = 0; d < c_.width; ++d) out[d] += w * get(c_.cache, new_values_.data(), at + d);
    }
    for (double& v : out) v /= total;
    return out;
  }

  // Tokens are checked at the borders, and some between.
  bool looked_at(int t) const {
    return num_tokens() < 40 || t % 37 == 0 || t + 1 == num_tokens() ||
           sequence_of_[t] != sequence_of_[t + 1] ||
           (t > 0 && sequence_of_[t] != sequence_of_[t - 1]);
  }

  void check_results() {
    const bool fast =
        c_.type == DType::kBF16 && c_.cache != DType::kF32 && attend::is_fast_width(c_.width);
    const DType query_type = fast && c_.cache != DType::kBF16 ? DType::kF16 : c_.type;
    const double tolerance = c_.type == DType::kF32 ? 2e-5 : 1e-2;
    double error = 0, size = 0;
    for (int t = 0; t < num_tokens(); ++t) {
      if (!looked_at(t)) continue;
      for (int h = 0; h < c_.heads; h += num_tokens() < 3 ? 1 : 3) {
        const std::vector<double> want = attended(t, h, query_type);
        double e = 0, n = 0;
        for (int d = 0; d < c_.width; ++d) {
          const double got = get(c_.type, y_.data(), (int64_t{t} * c_.heads + h) * c_.width + d);
          e += (got - want[d]) * (got - want[d]), n += want[d] * want[d];
        }
        ASSERT_LE(std::sqrt(e), tolerance * std::sqrt(n))
            << "token " << t << " at " << positions_[t] << " head " << h;
        error += e, size += n;
      }
    }
    EXPECT_LE(std::sqrt(error / size), 0.4 * tolerance);
  }

  void check_next() {
    const int64_t count = int64_t{num_tokens()} * c_.heads * c_.width;
    for (int64_t i = 0; i < count; ++i) {
      const float y = get(c_.type, y_.data(), i);
      if (!c_.next_int8) {
        ASSERT_EQ(get(DType::kBF16, next_.data(), i), rounded(DType::kBF16, y));
        continue;
      }
      const auto& group = reinterpret_cast<const OperandGroup*>(groups_.data())[i / 32];
      const auto* q = reinterpret_cast<const int8_t*>(next_.data());
      // Half a step, and y's own rounding.
      ASSERT_NEAR(q[i] * group.scale, y, 0.5001 * group.scale + 0.004 * std::abs(y) + 1e-30);
      if (i % 32 == 0) ASSERT_EQ(std::accumulate(q + i, q + i + 32, 0), group.sum);
    }
  }

  void check_workspace(const std::vector<unsigned char>& workspace) {
    const size_t y = static_cast<size_t>(num_tokens() * c_.heads * c_.width * 4);  // at its end
    EXPECT_EQ(std::count(workspace.begin(), workspace.end() - y, 0), workspace.size() - y);
  }

  Case c_;
  int stride_ = 0, num_pages_ = 0;
  std::vector<int32_t> positions_, sequence_of_, first_token_, first_page_, pages_;
  std::vector<unsigned char> x_, keys_, values_, new_keys_, new_values_, y_, next_, groups_;
  std::vector<float> cos_sin_, query_norm_, key_norm_;
};

}  // namespace hachi::ops::cuda
