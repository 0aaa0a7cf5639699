// The loops of the search against plain ones in double precision.
#include "quantize/search.h"

#include "kernels/blocks.h"
#include "quantize/grid_block.h"
#include "quantize/scale_search.h"
#include "quantize/testing.h"

namespace hachi::quantize {
namespace {

std::vector<const SearchLoops*> sets() {
  std::vector<const SearchLoops*> all = {&portable::kSearchLoops};
  if (ops::cpu_features().avx2) all.push_back(&search_loops(ops::cpu_features()));
  return all;
}

Floats positive_values(size_t n, unsigned seed) {
  Floats values = normal_values(n, seed, 1.0f);
  for (float& value : values) value = std::fabs(value) + 0.01f;
  return values;
}

TEST(Search, SumsOfIntegers) {
  const Floats x = normal_values(32, 1, 1.0f);
  const Floats weights = positive_values(32, 2);
  Candidates candidates;
  for (int j = 0; j < kCandidates; ++j) {
    candidates.inverse[j] = 1.5f + 0.7f * static_cast<float>(j);
    candidates.shift[j] = 0.3f * static_cast<float>(j);
  }
  for (const SearchLoops* loops : sets()) {
    Sums sums;
    loops->sums_of_integers({x.data(), weights.data(), 32}, candidates, -4, 3, &sums);
    for (int j = 0; j < kCandidates; ++j) {
      double q_sum = 0, qq_sum = 0, xq_sum = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const int q = nearest_integer((x[i] + candidates.shift[j]) * candidates.inverse[j], -4, 3);
        q_sum += double{weights[i]} * q;
        qq_sum += double{weights[i]} * q * q;
        xq_sum += double{weights[i]} * x[i] * q;
      }
      EXPECT_NEAR(sums.q[j], q_sum, 1e-3);
      EXPECT_NEAR(sums.qq[j], qq_sum, 1e-3);
      EXPECT_NEAR(sums.xq[j], xq_sum, 1e-3);
    }
  }
}

TEST(Search, SumsOfLevels) {
  const Levels levels = make_levels(ops::kIQ4Values);
  const Floats x = normal_values(32, 3, 1.0f);
  const Floats weights = positive_values(32, 4);
  const float inverses[kCandidates] = {10, -20, 30, 50, -70, 90, 200, 0};
  for (const SearchLoops* loops : sets()) {
    Sums sums;
    loops->sums_of_levels({x.data(), weights.data(), 32}, inverses, levels, &sums);
    for (int j = 0; j < kCandidates; ++j) {
      double qq_sum = 0, xq_sum = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        double q = levels.values[0];
        for (const float level : levels.values) {
          const double v = double{x[i]} * inverses[j];
          if (std::fabs(level - v) < std::fabs(q - v)) q = level;
        }
        qq_sum += double{weights[i]} * q * q;
        xq_sum += double{weights[i]} * x[i] * q;
      }
      EXPECT_NEAR(sums.qq[j], qq_sum, 1e-4 * std::fabs(qq_sum));
      EXPECT_NEAR(sums.xq[j], xq_sum, 1e-4 * std::fabs(qq_sum));
    }
  }
}

TEST(Search, RoundsToTheNearestOfARange) {
  EXPECT_EQ(nearest_integer(2.5f, -4, 3), 2);
  EXPECT_EQ(nearest_integer(3.5f, -4, 3), 3);
  EXPECT_EQ(nearest_integer(-0.6f, -4, 3), -1);
  EXPECT_EQ(nearest_integer(-1e30f, -4, 3), -4);
  EXPECT_EQ(nearest_integer(1e30f, -4, 3), 3);
  EXPECT_EQ(nearest_integer(std::nanf(""), -4, 3), -4);
}

// The error of one point of a grid.
template <size_t kElements>
double point_error(const std::array<int8_t, kElements>& point, const float* x, const float* weights,
                   float scale) {
  double sum = 0;
  for (size_t i = 0; i < kElements; ++i) {
    const double error = double{x[i]} - double{scale} * point[i];
    sum += weights[i] * error * error;
  }
  return sum;
}

template <size_t kSize, size_t kElements, size_t kLevels>
void expect_best_points(const ops::Grid<kSize, kElements>& grid,
                        const std::array<int8_t, kLevels>& levels) {
  const SearchGrid search(grid, levels);
  Floats x = normal_values(kCandidates * kElements, 5, 1.0f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 13 == 0 ? -std::fabs(x[i]) : std::fabs(x[i]);
  const Floats weights = positive_values(x.size(), 6);
  float scales[kGridScales];
  for (int j = 0; j < kGridScales; ++j) {
    scales[j] = 1.5f / static_cast<float>(levels.back()) * (1.0f + 0.1f * static_cast<float>(j));
  }
  const auto least_error = [&](size_t first, float scale) {
    double least = INFINITY;
    for (const auto& point : grid) {
      least = std::min(least, point_error(point, &x[first], &weights[first], scale));
    }
    return least;
  };
  for (const SearchLoops* loops : sets()) {
    float errors[kGridScales];
    const Run run = {x.data(), weights.data(), static_cast<int>(2 * kElements)};
    loops->grid_errors(search.points(), run, scales, errors);
    for (int j = 0; j < kGridScales; ++j) {
      const double want = least_error(0, scales[j]) + least_error(kElements, scales[j]);
      EXPECT_NEAR(errors[j], want, 1e-5 * want);
    }
    int points[kCandidates];
    loops->nearest_points(search.points(), x.data(), weights.data(), scales, points);
    for (size_t j = 0; j < kCandidates; ++j) {
      const size_t first = j * kElements;
      const double want = least_error(first, scales[j]);
      const auto& point = grid[static_cast<size_t>(points[j])];
      EXPECT_NEAR(point_error(point, &x[first], &weights[first], scales[j]), want, 1e-5 * want);
    }
  }
}

TEST(Search, FindsTheBestPointOfEachGrid) {
  expect_best_points(ops::kGridIQ3_S, ops::kLevelsIQ3_S);
  expect_best_points(ops::kGridIQ3_XXS, ops::kLevelsIQ3_XXS);
  expect_best_points(ops::kGridIQ2_S, ops::kLevelsIQ2);
  expect_best_points(ops::kGridIQ2_XS, ops::kLevelsIQ2);
  expect_best_points(ops::kGridIQ2_XXS, ops::kLevelsIQ2);
}

}  // namespace
}  // namespace hachi::quantize
