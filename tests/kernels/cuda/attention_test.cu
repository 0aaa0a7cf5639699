// Attention on a GPU against double loops on the host.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <cuda_runtime.h>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <gtest/gtest.h>

#include "kernels/cuda/attention.h"

namespace hachi::ops::cuda {
namespace {

constexpr int kPage = 32;

int bytes_of(DType type) { return type == DType::kF32 ? 4 : type == DType::kF8E4M3 ? 1 : 2; }

void put(DType type, void* at, int64_t i, float x) {
  switch (type) {
    case DType::kF32:
      static_cast<float*>(at)[i] = x;
      return;
    case DType::kF16:
      static_cast<__half*>(at)[i] = __float2half(x);
      return;
    case DType::kBF16:
      static_cast<__nv_bfloat16*>(at)[i] = __float2bfloat16(x);
      return;
    default:
      static_cast<__nv_fp8_e4m3*>(at)[i] = __nv_fp8_e4m3(x);
  }
}

float get(DType type, const void* at, int64_t i) {
  switch (type) {
    case DType::kF32:
      return static_cast<const float*>(at)[i];
    case DType::kF16:
      return __half2float(static_cast<const __half*>(at)[i]);
    case DType::kBF16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(at)[i]);
    default:
      return static_cast<float>(static_cast<const __nv_fp8_e4m3*>(at)[i]);
  }
}

float rounded(DType type, double x) {
  char bytes[4];
  put(type, bytes, 0, static_cast<float>(x));
  return get(type, bytes, 0);
}

// Memory of the GPU, between guards, that begins as it is on the host, or as no numbers at all.
class Buffer {
 public:
  static constexpr size_t kGuard = 256;
  explicit Buffer(size_t size) : size_(size) {
    EXPECT_EQ(cudaMalloc(&base_, size + 2 * kGuard), cudaSuccess);
    EXPECT_EQ(cudaMemset(base_, 0xff, size + 2 * kGuard), cudaSuccess);
  }
  template <class T>
  explicit Buffer(const std::vector<T>& host) : Buffer(host.size() * sizeof(T)) {
    EXPECT_EQ(cudaMemcpy(data(), host.data(), size_, cudaMemcpyHostToDevice), cudaSuccess);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    std::vector<unsigned char> all(size_ + 2 * kGuard);
    EXPECT_EQ(cudaMemcpy(all.data(), base_, all.size(), cudaMemcpyDeviceToHost), cudaSuccess);
    for (size_t i = 0; i < kGuard; ++i) {
      EXPECT_TRUE(all[i] == 0xff && all[all.size() - 1 - i] == 0xff) << "written beyond the end";
    }
    cudaFree(base_);
  }
  template <class T = void>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
  std::vector<unsigned char> bytes() const {
    std::vector<unsigned char> out(size_);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(out.data(), data(), size_, cudaMemcpyDeviceToHost), cudaSuccess);
    return out;
  }

 private:
  char* data() const { return base_ + kGuard; }
  char* base_ = nullptr;
  size_t size_;
};

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
  bool one = true;  // attend_one()
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
      attend_many(nullptr, a, context);
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
        c_.type == DType::kBF16 && c_.cache != DType::kF32 && (c_.width == 64 || c_.width == 128);
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
    worst_ = std::max(worst_, std::sqrt(error / size));
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

 public:
  double worst_ = 0;

 private:
  Case c_;
  int stride_ = 0, num_pages_ = 0;
  std::vector<int32_t> positions_, sequence_of_, first_token_, first_page_, pages_;
  std::vector<unsigned char> x_, keys_, values_, new_keys_, new_values_, y_, next_, groups_;
  std::vector<float> cos_sin_, query_norm_, key_norm_;
};

void run(const Case& c) {
  Call r(c);
  r.on_gpu();
  r.check();
  std::printf("    error %.2e\n", r.worst_);
}

std::vector<Sequence> singles(const std::vector<int>& lengths) {
  std::vector<Sequence> out;
  for (int n : lengths) out.push_back({n - 1, 1, static_cast<unsigned>(n)});
  return out;
}

const std::vector<int> kLengths = {1, 2, 16, 17, 31, 32, 33, 127, 128, 129, 255, 256, 257, 1000};

TEST(AttendOne, ReadsEachLengthAlone) {
  for (int n : {1, 31, 33, 128, 129, 1000, 4097}) {
    SCOPED_TRACE(n);
    Case c;
    c.sequences = singles({n});
    run(c);
  }
}

TEST(AttendOne, ReadsManyLengthsAtOnce) {
  Case c;
  c.sequences = singles(kLengths);
  run(c);
}

TEST(AttendOne, TakesTheShapesOfModels) {
  struct Shape {
    int heads, kv_heads, width;
  };
  for (Shape s :
       {Shape{9, 3, 64}, {28, 4, 128}, {8, 8, 128}, {32, 4, 64}, {16, 2, 128}, {5, 1, 64}}) {
    for (DType cache : {DType::kBF16, DType::kF16, DType::kF8E4M3}) {
      SCOPED_TRACE(testing::Message() << s.heads << "/" << s.kv_heads << " x " << s.width);
      Case c;
      c.heads = s.heads, c.kv_heads = s.kv_heads, c.width = s.width, c.cache = cache;
      c.norm = s.heads % 2 == 0, c.interleaved = s.kv_heads == 4;
      c.next_int8 = cache != DType::kF16;
      c.sequences = singles({5, 300, 1, 700, 2100});
      run(c);
    }
  }
}

TEST(AttendOne, SeesAWindow) {
  for (int window : {1, 7, 32, 100, 500}) {
    SCOPED_TRACE(window);
    Case c;
    c.window = window;
    c.sequences = singles({1, 7, 33, 100, 101, 777, 1500});
    run(c);
  }
}

TEST(AttendOne, TakesOtherShapesPlainly) {
  for (int width : {8, 72, 96, 256}) {
    for (DType type : {DType::kF32, DType::kBF16}) {
      SCOPED_TRACE(width);
      Case c;
      c.heads = 4, c.kv_heads = 2, c.width = width, c.type = type, c.cache = type;
      c.window = width == 72 ? 50 : 0, c.interleaved = width == 96, c.next_int8 = width == 256;
      c.sequences = singles({1, 40, 300});
      run(c);
    }
  }
}

TEST(AttendOne, ResultsDoNotDependOnTheBatch) {
  Case c;
  for (int i = 0; i < 70; ++i) {
    c.sequences.push_back({(i * 37) % 600 + (i == 40 ? 2000 : 0), 1, static_cast<unsigned>(i)});
  }
  Call all(c);
  all.on_gpu();
  for (int s : {0, 3, 40, 63, 64, 69}) {
    Case alone = c;
    alone.sequences = {c.sequences[s]};
    Call one(alone);
    one.on_gpu();
    EXPECT_EQ(one.result(0), all.result(s)) << s;
  }
}

TEST(AttendMany, ReadsPromptsOverPrefixes) {
  for (int width : {64, 128}) {
    Case c;
    c.one = false, c.width = width;
    c.sequences = {{0, 1, 1}, {0, 33, 2}, {100, 1, 3}, {70, 300, 4}, {0, 129, 5}, {513, 31, 6}};
    run(c);
  }
}

TEST(AttendMany, TakesTheShapesOfModels) {
  struct Shape {
    int heads, kv_heads, width;
  };
  for (Shape s :
       {Shape{9, 3, 64}, {28, 4, 128}, {4, 4, 128}, {8, 1, 64}, {4, 2, 96}, {4, 1, 256}}) {
    for (DType cache : {DType::kBF16, DType::kF16, DType::kF8E4M3}) {
      SCOPED_TRACE(testing::Message() << s.heads << "/" << s.kv_heads << " x " << s.width);
      Case c;
      c.one = false;
      c.heads = s.heads, c.kv_heads = s.kv_heads, c.width = s.width, c.cache = cache;
      c.norm = s.heads % 2 == 0, c.interleaved = s.kv_heads == 4;
      c.sequences = {{40, 200, 1}, {300, 1, 2}, {0, 70, 3}};
      run(c);
    }
  }
}

TEST(AttendMany, SeesAWindow) {
  for (int window : {1, 20, 32, 200}) {
    SCOPED_TRACE(window);
    Case c;
    c.one = false, c.window = window;
    c.sequences = {{40, 400, 1}, {777, 1, 2}, {600, 70, 3}};
    run(c);
  }
}

TEST(AttendMany, TakesF32Plainly) {
  Case c;
  c.one = false, c.heads = 4, c.kv_heads = 2, c.type = DType::kF32, c.cache = DType::kF32;
  c.sequences = {{40, 100, 1}, {0, 1, 2}};
  run(c);
}

TEST(AttendMany, ResultsDoNotDependOnTheCut) {
  Case whole;
  whole.one = false;
  whole.sequences = {{210, 500, 1}};
  Call first(whole);
  first.on_gpu();
  const auto all = first.result(0);
  Case mixed = whole;
  mixed.sequences = {{50, 3, 9}, {210, 500, 1}, {1000, 1, 8}};
  Call second(mixed);
  second.on_gpu();
  EXPECT_EQ(second.result(1), all);
  Case cut = whole;
  cut.sequences = {{210, 77, 1}};
  Call third(cut);
  third.on_gpu();
  const auto part = third.result(0);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin()));
  Case rest = whole;
  rest.sequences = {{287, 423, 1}};
  Call fourth(rest);
  fourth.continue_after(first);
  fourth.on_gpu();
  const auto end = fourth.result(0);
  EXPECT_TRUE(std::equal(end.rbegin(), end.rend(), all.rbegin()));
}

}  // namespace
}  // namespace hachi::ops::cuda
