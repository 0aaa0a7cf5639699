// Tokens drawn on the GPU against the reference.
#include "kernels/draw.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"
#include "kernels/gpu.h"
#include "kernels/memory.h"

namespace hachi::ops {
namespace {

// The last is the largest that the op takes.
constexpr int64_t kVocabs[] = {1, 31, 33, 1000, 4099, 50'000, 151'936, kMaxDrawVocab};

class DrawTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto gpu = Gpu::open({});
    ASSERT_TRUE(gpu) << gpu.error().message;
    gpu_ = *std::move(gpu);
    ctx_.device = Device::kCuda;
    ctx_.gpu = gpu_.get();
    reference_.device = Device::kRef;
  }

  static ConstTensor matrix(const void* data, size_t size, int64_t vocab) {
    return ConstTensor(data, DType::kF32, {static_cast<int64_t>(size) / vocab, vocab});
  }

  std::vector<int32_t> drawn(const std::vector<float>& logits, int64_t vocab,
                             const std::vector<DrawRow>& rows) {
    auto placed = Memory::allocate(ctx_, logits.size() * sizeof(float));
    auto room = Memory::allocate(
        ctx_, draw_bytes(static_cast<int64_t>(
                             std::max(rows.size(), logits.size() / static_cast<size_t>(vocab))),
                         vocab));
    EXPECT_TRUE(placed && room);
    gpu_->upload(placed->data(), reinterpret_cast<const std::byte*>(logits.data()),
                 logits.size() * sizeof(float));
    std::vector<int32_t> tokens(rows.size(), -1);
    draw(ctx_, tokens, matrix(placed->data(), logits.size(), vocab), rows, room->data());
    return tokens;
  }

  int32_t expected(const std::vector<float>& logits, int64_t vocab, const DrawRow& row) {
    int32_t token = -1;
    draw(reference_, {&token, 1}, matrix(logits.data(), logits.size(), vocab), {&row, 1}, nullptr);
    return token;
  }

  // What the reference draws within the rounding of exp() and of sums.
  std::set<int32_t> acceptable(const std::vector<float>& logits, int64_t vocab,
                               const DrawRow& row) {
    std::set<int32_t> tokens;
    for (const double u : {-1e-6, 0.0, 1e-6}) {
      for (const double p : {-1e-6, 0.0, 1e-6}) {
        DrawRow near = row;
        near.uniform = std::clamp(row.uniform + u, 0.0, std::nextafter(1.0, 0.0));
        if (row.top_p < 1) near.top_p = std::clamp(row.top_p + p, 0.0, std::nextafter(1.0, 0.0));
        tokens.insert(expected(logits, vocab, near));
        if (row.top_p >= 1) break;
      }
    }
    return tokens;
  }

  std::unique_ptr<Gpu> gpu_;
  Context ctx_;
  Context reference_;
};

enum class Kind { kPeaked, kFlat, kEqual, kRounded, kBroken };

std::vector<float> random_logits(size_t size, Kind kind, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> logits(size);
  for (float& logit : logits) {
    const float x = normal(random);
    if (kind == Kind::kPeaked) logit = 3 * x + (random() % 10'000 == 0 ? 15.0f : 0.0f);
    if (kind == Kind::kFlat) logit = 0.02f * x;
    if (kind == Kind::kEqual) logit = -2.5f;
    if (kind == Kind::kRounded) logit = std::round(4 * x);
    if (kind == Kind::kRounded && random() % 50 == 0) logit = random() % 2 == 0 ? NAN : -INFINITY;
    if (kind == Kind::kBroken) logit = random() % 2 == 0 ? NAN : -INFINITY;
  }
  return logits;
}

// Words with about `share` of the bits; one at least.
std::vector<uint32_t> random_mask(int64_t vocab, double share, std::mt19937& random) {
  std::vector<uint32_t> mask(static_cast<size_t>((vocab + 31) / 32));
  std::bernoulli_distribution allowed(share);
  const auto allow = [&](uint32_t token) { mask[token / 32] |= uint32_t{1} << (token % 32); };
  allow(static_cast<uint32_t>(random() % static_cast<uint64_t>(vocab)));
  for (uint32_t token = 0; share > 0 && token < static_cast<uint32_t>(vocab); ++token) {
    if (allowed(random)) allow(token);
  }
  return mask;
}

class DrawOf : public DrawTest, public ::testing::WithParamInterface<int64_t> {};

TEST_P(DrawOf, TheGreatestIsTheReferences) {
  std::mt19937 random(1);
  const int64_t vocab = GetParam();
  for (const int64_t count : {1, 3, 70}) {
    if (vocab > 4099 && count > 3) continue;
    const Kind kind = count == 3 ? Kind::kBroken : Kind::kRounded;
    const auto logits = random_logits(static_cast<size_t>(count * vocab), kind, 7);
    std::vector<std::vector<uint32_t>> masks;
    std::vector<DrawRow> rows;
    for (int64_t i = 0; i < count; ++i) {
      masks.push_back(random_mask(vocab, i % 3 == 0 ? 0.0 : 0.3, random));
      rows.push_back({.row = count - 1 - i});
    }
    const auto check = [&](const char* what) {
      const auto tokens = drawn(logits, vocab, rows);
      for (size_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(tokens[i], expected(logits, vocab, rows[i]))
            << what << ": " << vocab << " tokens, row " << i << " of " << count;
      }
    };
    check("all");
    for (size_t i = 0; i < rows.size(); ++i) rows[i].mask = masks[i];
    check("masked");
    for (size_t i = 0; i < rows.size(); ++i) rows[i].mask = std::span(masks[i]).first(1);
    for (auto& mask : masks) mask[0] |= 1;
    check("a short mask");
  }
}

TEST_P(DrawOf, DrawsAreTheReferences) {
  std::mt19937 random(2);
  const auto chance = [&](double p) { return std::bernoulli_distribution(p)(random); };
  std::uniform_real_distribution<double> real;
  int differ = 0, total = 0;
  const int64_t vocab = GetParam();
  for (const Kind kind :
       {Kind::kPeaked, Kind::kFlat, Kind::kEqual, Kind::kRounded, Kind::kBroken}) {
    const int64_t count = vocab > 4099 ? 4 : 24;
    const auto logits = random_logits(static_cast<size_t>(count * vocab), kind, 11);
    std::vector<std::vector<uint32_t>> masks;
    std::vector<DrawRow> rows;
    for (int64_t i = 0; i < count; ++i) {
      DrawRow row{.row = i, .uniform = real(random), .temperature = 0.2 + 1.5 * real(random)};
      if (chance(0.6)) row.top_p = chance(0.1) ? 0 : real(random);
      if (chance(0.3)) row.top_p = 0.95;
      if (chance(0.3)) row.min_p = real(random) / 10;
      if (chance(0.3)) row.top_k = static_cast<int64_t>(random() % 100);
      // By ids the reference would begin and end with tokens whose weights are below 2^-45.
      if (row.top_p < 0.96 && chance(0.1)) {
        row.uniform = chance(0.5) ? 0 : std::nextafter(1.0, 0.0);
      }
      masks.push_back(random_mask(vocab, 0.2, random));
      if (chance(0.3)) row.mask = masks.back();
      rows.push_back(row);
    }
    const auto tokens = drawn(logits, vocab, rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      const DrawRow& row = rows[i];
      ++total;
      if (tokens[i] == expected(logits, vocab, row)) continue;
      ++differ;
      EXPECT_TRUE(acceptable(logits, vocab, row).contains(tokens[i]))
          << tokens[i] << ": " << vocab << " tokens of kind " << static_cast<int>(kind) << ", row "
          << i << ", uniform " << row.uniform << ", temperature " << row.temperature << ", top_p "
          << row.top_p << ", min_p " << row.min_p << ", top_k " << row.top_k << ", mask "
          << row.mask.size();
    }
  }
  EXPECT_LE(differ, 1 + total / 100);
}

INSTANTIATE_TEST_SUITE_P(Vocabulary, DrawOf, ::testing::ValuesIn(kVocabs),
                         ::testing::PrintToStringParamName());

class DrawEdits : public DrawTest, public ::testing::WithParamInterface<int64_t> {};

TEST_P(DrawEdits, ComeBeforeTheDraw) {
  std::mt19937 random(3);
  const int64_t vocab = GetParam();
  const auto logits = random_logits(static_cast<size_t>(4 * vocab), Kind::kRounded, 17);
  const auto some_tokens = [&](size_t count) {
    std::set<int32_t> tokens;
    while (tokens.size() < count) {
      tokens.insert(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab)));
    }
    return std::vector<int32_t>(tokens.begin(), tokens.end());
  };
  std::vector<SeenToken> seen;
  for (const int32_t token : some_tokens(3000)) {
    seen.push_back({token, static_cast<int32_t>(random() % 4)});
  }
  std::vector<std::pair<int32_t, float>> biases;
  for (const int32_t token : some_tokens(300)) {
    biases.emplace_back(token, random() % 5 == 0 ? 13.3f : -7.7f);
  }
  auto banned = some_tokens(700);
  banned.push_back(banned[0]);
  const auto mask = random_mask(vocab, 0.3, random);
  std::vector<DrawRow> rows;
  for (int64_t i = 0; i < 16; ++i) {
    rows.push_back({.row = i % 4,
                    .uniform = static_cast<double>(i) / 16,
                    .temperature = i < 8 ? 0 : 0.8,
                    .top_p = i % 2 == 0 ? 1 : 0.9,
                    .repetition = 1.3,
                    .presence = 0.4,
                    .frequency = 0.17,
                    .seen = seen});
    if (i % 4 > 0) rows.back().biases = biases;
    if (i % 4 > 1) rows.back().banned = banned;
    if (i % 4 > 2) rows.back().mask = mask;
  }
  const auto tokens = drawn(logits, vocab, rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t right = expected(logits, vocab, rows[i]);
    if (i < 8) {
      EXPECT_EQ(tokens[i], right) << i;
    } else if (tokens[i] != right) {
      EXPECT_TRUE(acceptable(logits, vocab, rows[i]).contains(tokens[i])) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, DrawEdits, ::testing::Values(5000, 151'936));

TEST_F(DrawTest, DrawsAsOftenAsItShould) {
  constexpr int64_t kVocab = 3001;
  constexpr int kKept = 20;
  constexpr int kRounds = 300, kRows = 64;
  std::vector<float> logits(kVocab, -INFINITY);
  std::vector<double> shares(kKept);
  double total = 0;
  for (int i = 0; i < kKept; ++i) {
    logits[static_cast<size_t>(i * 150 + 7)] = 0.3f * static_cast<float>(i % 7);
    total += shares[static_cast<size_t>(i)] = std::exp(0.3 * (i % 7) / 0.9);
  }
  std::vector<int> counts(kVocab);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<DrawRow> rows(kRows);
    for (size_t i = 0; i < kRows; ++i) {
      rows[i].uniform = uniform(99, static_cast<uint64_t>(round) * kRows + i);
      rows[i].temperature = 0.9;
      rows[i].top_p = i % 2 == 0 ? 1 : 0.9999;
    }
    for (const int32_t token : drawn(logits, kVocab, rows)) ++counts[static_cast<size_t>(token)];
  }
  int found = 0;
  for (int i = 0; i < kKept; ++i) {
    const double share = shares[static_cast<size_t>(i)] / total;
    const int count = counts[static_cast<size_t>(i * 150 + 7)];
    constexpr double kDraws = kRounds * kRows;
    EXPECT_NEAR(count / kDraws, share, 5 * std::sqrt(share / kDraws)) << i;
    found += count;
  }
  EXPECT_EQ(found, kRounds * kRows);
}

TEST_F(DrawTest, ARowsTokenDependsOnNothingElse) {
  constexpr int64_t kVocab = 151'936, kRows = 64;
  std::mt19937 random(4);
  std::uniform_real_distribution<double> real;
  for (const Kind kind : {Kind::kPeaked, Kind::kFlat}) {
    const auto logits = random_logits(static_cast<size_t>(8 * kVocab), kind, 23);
    const auto mask = random_mask(kVocab, 0.5, random);
    const std::vector<std::pair<int32_t, float>> biases = {{5, 1.0f}, {151'000, 2.0f}};
    std::vector<DrawRow> rows;
    for (int64_t i = 0; i < kRows; ++i) {
      rows.push_back({.row = i % 8,
                      .uniform = real(random),
                      .temperature = i % 5 == 0 ? 0 : 1.0,
                      .top_p = i % 3 == 0 ? 1 : 0.95,
                      .top_k = i % 7 == 0 ? 1000 : 0});
      if (i % 4 == 1) rows.back().mask = mask;
      if (i % 4 == 2) rows.back().biases = biases;
    }
    const auto together = drawn(logits, kVocab, rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(drawn(logits, kVocab, {rows[i]})[0], together[i]) << i;
    }
  }
}

}  // namespace
}  // namespace hachi::ops
