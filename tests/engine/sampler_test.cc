#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "core/random.h"

namespace hachi::engine {
namespace {

const std::vector<float> kLogits = {0.0f, 2.0f, -1.0f, 1.0f, 2.0f, -3.0f};

int32_t sample(const Sampler& sampler, uint64_t position = 0,
               std::span<const int32_t> banned = {}) {
  SamplerScratch scratch(static_cast<int64_t>(kLogits.size()));
  return sampler.sample(kLogits, position, scratch, banned);
}

std::map<int32_t, double> frequencies(const SamplingParams& params, int draws = 20000) {
  const Sampler sampler(params, 0);
  SamplerScratch scratch(static_cast<int64_t>(kLogits.size()));
  std::map<int32_t, double> counts;
  for (int i = 0; i < draws; ++i) {
    counts[sampler.sample(kLogits, static_cast<uint64_t>(i), scratch)] += 1.0 / draws;
  }
  return counts;
}

// Softmax of the kept logits over the temperature, in plain words.
std::map<int32_t, double> expected(const std::vector<int32_t>& kept, double temperature) {
  std::map<int32_t, double> weights;
  double total = 0;
  for (const int32_t id : kept) {
    weights[id] = std::exp(static_cast<double>(kLogits[static_cast<size_t>(id)]) / temperature);
    total += weights[id];
  }
  for (auto& [id, weight] : weights) weight /= total;
  return weights;
}

void expect_near(const std::map<int32_t, double>& found, const std::map<int32_t, double>& wanted) {
  for (const auto& [id, frequency] : found) EXPECT_TRUE(wanted.contains(id)) << id;
  for (const auto& [id, probability] : wanted) {
    const double frequency = found.contains(id) ? found.at(id) : 0;
    // Five standard deviations of a frequency out of 20,000 draws.
    EXPECT_NEAR(frequency, probability, 5 * std::sqrt(probability / 20000)) << id;
  }
}

TEST(Sampler, DrawsFromTheSoftmax) {
  expect_near(frequencies({}), expected({0, 1, 2, 3, 4, 5}, 1));
  expect_near(frequencies({.temperature = 0.5}), expected({0, 1, 2, 3, 4, 5}, 0.5));
}

TEST(Sampler, KeepsTheMostLikely) {
  expect_near(frequencies({.top_k = 3}), expected({1, 3, 4}, 1));
  expect_near(frequencies({.top_k = 1}), expected({1}, 1));  // the lower id of two equals
  expect_near(frequencies({.top_k = 100}), expected({0, 1, 2, 3, 4, 5}, 1));
}

TEST(Sampler, KeepsTheNucleus) {
  // Probabilities, most likely first: 0.393 (1), 0.393 (4), 0.145 (3), 0.053 (0), 0.020 (2).
  expect_near(frequencies({.top_p = 0.9}), expected({1, 3, 4}, 1));
  expect_near(frequencies({.top_p = 0.5}), expected({1, 4}, 1));
  expect_near(frequencies({.top_p = 0}), expected({1}, 1));
}

// Sorts everything, adds up, draws.
int32_t plain_nucleus_draw(const std::vector<float>& logits, double top_p, double random) {
  const float best = *std::max_element(logits.begin(), logits.end());
  std::vector<std::pair<float, int32_t>> sorted;
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    sorted.emplace_back(-std::exp(logits[i] - best), static_cast<int32_t>(i));
    total -= static_cast<double>(sorted.back().first);
  }
  std::sort(sorted.begin(), sorted.end());
  double mass = 0;
  size_t count = 0;
  while (count < sorted.size() && mass < top_p * total) {
    mass -= static_cast<double>(sorted[count++].first);
  }
  double left = random * mass;
  for (size_t i = 0; i < count; ++i) {
    left += static_cast<double>(sorted[i].first);
    if (left < 0) return sorted[i].second;
  }
  return sorted[count - 1].second;
}

TEST(Sampler, DrawsFromTheNucleusOfAnyShape) {
  std::mt19937_64 random(3);
  for (const double spread : {0.0, 0.3, 1.0, 4.0, 30.0}) {
    std::vector<float> logits(20'000);
    std::normal_distribution<double> normal(0, spread);
    for (float& logit : logits) logit = spread > 0 ? static_cast<float>(normal(random)) : 1.0f;
    SamplerScratch scratch(static_cast<int64_t>(logits.size()));
    for (const double top_p : {0.01, 0.5, 0.95, 0.999999}) {
      const Sampler sampler({.top_p = top_p, .seed = 11}, 0);
      for (uint64_t position = 0; position < 20; ++position) {
        EXPECT_EQ(sampler.sample(logits, position, scratch),
                  plain_nucleus_draw(logits, top_p, uniform(11, position)))
            << spread << " " << top_p << " " << position;
      }
    }
  }
}

TEST(Sampler, KeepsWhatIsNearTheBest) {
  // Against the best: 1, 1, e^-1 = 0.37 (3), e^-2 = 0.14 (0), e^-3 = 0.05 (2).
  expect_near(frequencies({.min_p = 0.1}), expected({0, 1, 3, 4}, 1));
  expect_near(frequencies({.min_p = 1}), expected({1, 4}, 1));
}

TEST(Sampler, TopPCountsAfterTopK) {
  // Of the three kept, 1 and 4 have 0.84 of the mass.
  expect_near(frequencies({.top_k = 3, .top_p = 0.8}), expected({1, 4}, 1));
}

TEST(Sampler, GreedyTakesTheLowestIdOfEquals) {
  Sampler sampler({.temperature = 0}, 6);
  EXPECT_EQ(sample(sampler), 1);
}

TEST(Sampler, PenaltiesCountThePromptAndTheAnswer) {
  Sampler repetition({.temperature = 0, .repetition_penalty = 4}, 6);
  const std::vector<int32_t> prompt = {1, 4};
  repetition.observe_prompt(prompt);
  EXPECT_EQ(sample(repetition), 3);  // 2/4 and 2/4 fall below 1

  Sampler presence({.temperature = 0, .presence_penalty = 1.5}, 6);
  presence.observe_prompt(prompt);
  EXPECT_EQ(sample(presence), 1);  // the prompt does not count
  presence.observe(1);
  EXPECT_EQ(sample(presence), 4);

  Sampler frequency({.temperature = 0, .frequency_penalty = 0.6}, 6);
  frequency.observe(1);
  frequency.observe(4);
  EXPECT_EQ(sample(frequency), 1);  // 1.4 and 1.4 stay above 1
  frequency.observe(1);
  frequency.observe(4);
  EXPECT_EQ(sample(frequency), 3);  // 0.8 and 0.8 do not
}

TEST(Sampler, BiasMovesAndBansTokens) {
  Sampler sampler({.temperature = 0, .logit_bias = {{5, 10.0f}, {1, -100.0f}}}, 6);
  EXPECT_EQ(sample(sampler), 5);
}

TEST(Sampler, NeverDrawsWhatIsBanned) {
  const std::vector<int32_t> banned = {1, 4};
  EXPECT_EQ(sample(Sampler({.temperature = 0}, 6), 0, banned), 3);
  const Sampler warm({.temperature = 2}, 6);
  for (uint64_t i = 0; i < 1000; ++i) {
    const int32_t token = sample(warm, i, banned);
    EXPECT_TRUE(token != 1 && token != 4);
  }
}

TEST(Sampler, FindsTheMostLikelyAmongAnyNumber) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (size_t size = 1; size < 70; ++size) {
    std::vector<float> logits(size);
    for (float& logit : logits) logit = std::round(4 * normal(random));  // with equals
    const auto best = std::max_element(logits.begin(), logits.end());
    EXPECT_EQ(most_likely(logits), best - logits.begin());
  }
  EXPECT_EQ(most_likely(std::vector<float>{NAN, -INFINITY, 3, NAN}), 2);
}

TEST(Sampler, RepeatsWithTheSeedAndPosition) {
  Sampler a({.seed = 42}, 6);
  Sampler b({.seed = 42}, 6);
  Sampler c({.seed = 43}, 6);
  int differ = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    const int32_t token = sample(a, i);
    EXPECT_EQ(token, sample(b, i));
    if (token != sample(c, i)) ++differ;
  }
  EXPECT_GT(differ, 10);
  EXPECT_EQ(sample(a, 7), sample(b, 7));  // whatever was drawn before
}

TEST(Sampler, SurvivesBrokenLogits) {
  const std::vector<float> broken = {NAN, -INFINITY, NAN, -INFINITY, NAN, NAN};
  Sampler sampler({.top_k = 2, .top_p = 0.5, .min_p = 0.1}, 6);
  SamplerScratch scratch(6);
  const int32_t token = sampler.sample(broken, 0, scratch);
  EXPECT_TRUE(token >= 0 && token < 6);
}

// Any parameters, logits with equals, gaps and NaN: the op's reference draws the same token.
TEST(Sampler, SaysHowToDrawElsewhere) {
  constexpr int64_t kVocab = 300;
  std::mt19937 random(5);
  const auto chance = [&](double p) { return std::bernoulli_distribution(p)(random); };
  const auto any_token = [&] { return static_cast<int32_t>(random() % kVocab); };
  std::normal_distribution<float> normal(0, 3);
  SamplerScratch scratch(kVocab);
  for (uint64_t round = 0; round < 3000; ++round) {
    std::vector<float> logits(kVocab);
    for (float& logit : logits) {
      logit = chance(0.02) ? NAN : chance(0.02) ? -INFINITY : std::round(8 * normal(random)) / 8;
    }
    SamplingParams params{.temperature = chance(0.3) ? 0.0 : 1.5, .seed = round};
    if (chance(0.3)) params.top_k = static_cast<int64_t>(random() % 320);
    if (chance(0.4)) params.top_p = static_cast<double>(random() % 101) / 100;
    if (chance(0.3)) params.min_p = static_cast<double>(random() % 101) / 100;
    if (chance(0.3)) params.repetition_penalty = 1.3;
    if (chance(0.3)) params.presence_penalty = 0.7;
    if (chance(0.3)) params.frequency_penalty = -0.3;
    if (chance(0.3)) params.logit_bias = {{any_token(), 5.0f}, {any_token(), -100.0f}};
    Sampler sampler(params, 20);
    sampler.observe_prompt(std::vector<int32_t>{any_token(), any_token()});
    for (int i = 0; i < 10; ++i) sampler.observe(any_token());
    std::vector<uint32_t> mask(chance(0.5) ? 0 : 1 + random() % 12);
    for (uint32_t& word : mask) word = static_cast<uint32_t>(random() & random());
    if (!mask.empty()) mask[0] |= 2;
    std::vector<int32_t> banned;
    if (chance(0.3)) banned = {any_token(), 1};
    const auto how = sampler.how(round, banned, mask);
    if (!how) {
      EXPECT_EQ(params.logit_bias[0].first, params.logit_bias[1].first);
      continue;
    }
    ops::Context ctx;
    ctx.device = ops::Device::kRef;
    int32_t token = -1;
    ops::draw(ctx, {&token, 1}, ConstTensor(logits.data(), DType::kF32, {1, kVocab}), {&*how, 1},
              nullptr);
    EXPECT_EQ(token, sampler.sample(logits, round, scratch, banned, mask)) << round;
  }
}

TEST(Sampler, KeepsWhatTheOpDoesNotTake) {
  EXPECT_TRUE(Sampler({.logit_bias = {{1, 1.0f}, {2, 1.0f}}}, 6).how(0));
  EXPECT_FALSE(Sampler({.logit_bias = {{1, 1.0f}, {2, 1.0f}, {1, 2.0f}}}, 6).how(0));
  Sampler sampler({.presence_penalty = 1}, ops::kMaxDrawEdits + 1);
  for (int32_t token = 0; token < ops::kMaxDrawEdits; ++token) sampler.observe(token);
  EXPECT_TRUE(sampler.how(0));
  sampler.observe(static_cast<int32_t>(ops::kMaxDrawEdits));
  EXPECT_FALSE(sampler.how(0));
}

TEST(Sampler, ValidationNamesFieldLimitAndValue) {
  EXPECT_EQ(validate({.temperature = -1}, 6).error().message,
            "temperature must be between 0 and 100, got -1");
  EXPECT_FALSE(validate({.temperature = NAN}, 6));
  EXPECT_FALSE(validate({.top_p = 1.5}, 6));
  EXPECT_FALSE(validate({.logit_bias = {{6, 1.0f}}}, 6));
  EXPECT_TRUE(validate({}, 6));
}

}  // namespace
}  // namespace hachi::engine
