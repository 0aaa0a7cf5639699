#include "quantize/grid_block.h"

#include <algorithm>
#include <cmath>

#include "kernels/half.h"
#include "quantize/scale_search.h"

namespace hachi::quantize {
namespace {

constexpr int kElements = 256;
constexpr int kSignGroup = 8;
constexpr int kRounds = 2;  // how often d is fitted

// First guesses bring the largest value to the largest level times one of these.
constexpr float kReaches[kGridScales] = {0.70f, 0.76f, 0.82f, 0.88f, 0.95f, 1.02f, 1.09f, 1.17f,
                                         1.26f, 1.36f, 1.47f, 1.6f,  1.75f, 1.95f, 2.2f,  2.5f};

constexpr Levels kScales =
    make_levels(std::array{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31});

// The values without their signs. Where the signs must be even and are not, the value that costs
// least is met with the wrong sign: it keeps its own here, seen from that one.
void take_signs(const BlockValues& values, bool even, float* magnitudes, uint8_t* signs) {
  for (int first = 0; first < kElements; first += kSignGroup) {
    int negatives = 0;
    int cheapest = first;
    unsigned bits = 0;
    for (int i = first; i < first + kSignGroup; ++i) {
      const bool negative = values.x[i] < 0;
      magnitudes[i] = std::fabs(values.x[i]);
      bits |= static_cast<unsigned>(negative) << (i - first);
      negatives += static_cast<int>(negative);
      const float cost = values.weights[i] * magnitudes[i];
      if (cost < values.weights[cheapest] * magnitudes[cheapest]) cheapest = i;
    }
    if (even && negatives % 2 != 0) {
      magnitudes[cheapest] = -magnitudes[cheapest];
      bits ^= 1u << (cheapest - first);
    }
    signs[first / kSignGroup] = static_cast<uint8_t>(bits);
  }
}

// Which of kGridScales scales leaves the least error.
int best_of(const SearchLoops& loops, const SearchGrid& grid, const Run& run, const float* scales) {
  float errors[kGridScales];
  loops.grid_errors(grid.points(), run, scales, errors);
  return static_cast<int>(std::min_element(errors, errors + kGridScales) - errors);
}

// The scale of a sub-block by itself.
ScaleFit first_scale(const SearchLoops& loops, const SearchGrid& grid, const Run& run) {
  const float peak = *std::max_element(run.x, run.x + run.n);
  if (!(peak > 0) || inverse_of(peak) == 0) return {};
  const float highest = grid.levels().values[grid.levels().count - 1];
  float scales[kGridScales];
  for (int j = 0; j < kGridScales; ++j) scales[j] = peak / (highest * kReaches[j]);
  const float scale = scales[best_of(loops, grid, run, scales)];
  float sum = 0;
  for (int i = 0; i < run.n; ++i) sum += run.weights[i] * run.x[i] * run.x[i];
  return {scale, sum / (scale * scale)};
}

// A block's values without signs, and how it is searched.
struct Problem {
  const SearchLoops& loops;
  const GridFormat& format;
  const SearchGrid& grid;
  const float* x;
  const float* weights;

  int num_sub_blocks() const { return kElements / format.sub_block_size; }
  Run run(int s) const {
    const int n = format.sub_block_size;
    return {x + s * n, weights + s * n, n};
  }
};

void choose_scales(const Problem& problem, float d, int* scales) {
  float candidates[kGridScales];
  for (int j = 0; j < kGridScales; ++j) {
    candidates[j] = d * problem.format.unit * kScales.values[j];
  }
  for (int s = 0; s < problem.num_sub_blocks(); ++s) {
    scales[s] = best_of(problem.loops, problem.grid, problem.run(s), candidates);
  }
}

struct PointsFit {
  float change;  // of the error against all zeros
  float best_d;  // the least-squares d of these scales and points
};

PointsFit choose_points(const Problem& problem, float d, const int* scales, int* points) {
  const int elements = problem.grid.points().elements;
  float numerator = 0, denominator = 0;
  for (int first = 0; first < kElements / elements; first += kCandidates) {
    const float* x = problem.x + first * elements;
    const float* weights = problem.weights + first * elements;
    float multiples[kCandidates], point_scales[kCandidates];
    for (int j = 0; j < kCandidates; ++j) {
      const int s = (first + j) * elements / problem.format.sub_block_size;
      multiples[j] = problem.format.unit * kScales.values[scales[s]];
      point_scales[j] = d * multiples[j];
    }
    problem.loops.nearest_points(problem.grid.points(), x, weights, point_scales, points + first);
    for (int i = 0; i < kCandidates * elements; ++i) {
      const int8_t* magnitudes = problem.grid.magnitudes(points[first + i / elements]);
      const float y = multiples[i / elements] * static_cast<float>(magnitudes[i % elements]);
      numerator += weights[i] * y * x[i];
      denominator += weights[i] * y * y;
    }
  }
  return {d * (d * denominator - 2.0f * numerator), numerator / denominator};
}

float positive_f16(float d, uint16_t* bits) {
  *bits = step_f16(std::max(d, 0.0f));
  return ops::f16_to_f32(*bits);
}

}  // namespace

void SearchGrid::add_points(int size, int elements) {
  points_ = {&levels_, elements, low_, first_};
  int half = 1;
  for (int i = 0; i < elements / 2; ++i) half *= levels_.count;
  int next = 0;  // the high half whose first point is yet to come
  for (int p = 0; p < size; ++p) {
    int number = 0;
    for (int i = elements; i-- > 0;) number = number * levels_.count + digit(magnitudes(p)[i]);
    low_[p] = static_cast<uint8_t>(number % half);
    for (; next <= number / half; ++next) first_[next] = static_cast<uint16_t>(p);
  }
  for (; next <= half; ++next) first_[next] = static_cast<uint16_t>(size);
}

int SearchGrid::digit(int8_t magnitude) const {
  const float* end = levels_.values + levels_.count;
  return static_cast<int>(std::find(levels_.values, end, static_cast<float>(magnitude)) -
                          levels_.values);
}

GridBlock fit_grid_block(const BlockValues& values, const GridFormat& format,
                         const SearchGrid& grid) {
  float x[kElements];
  GridBlock best;
  take_signs(values, format.even_signs, x, best.signs);
  const Problem problem = {values.loops, format, grid, x, values.weights};
  float wanted[kMaxSubBlocks];
  float curvatures[kMaxSubBlocks];
  const int count = problem.num_sub_blocks();
  for (int s = 0; s < count; ++s) {
    const ScaleFit fit = first_scale(values.loops, grid, problem.run(s));
    wanted[s] = fit.scale;
    curvatures[s] = fit.curvature;
  }
  const Alphabet scales(&kScales);
  uint16_t bits = 0;
  float d = positive_f16(
      best_scale(values.loops, scales, {wanted, curvatures, count}).scale / format.unit, &bits);
  if (!(d > 0)) return best;
  choose_scales(problem, d, best.scales);

  float best_change = 0;
  for (int round = 0; round < kRounds && d > 0; ++round) {
    int points[64];
    const PointsFit fit = choose_points(problem, d, best.scales, points);
    if (!(fit.change < best_change)) break;
    best_change = fit.change;
    best.d = bits;
    std::copy(points, points + kElements / grid.points().elements, best.points);
    d = positive_f16(fit.best_d, &bits);
  }
  return best;
}

}  // namespace hachi::quantize
