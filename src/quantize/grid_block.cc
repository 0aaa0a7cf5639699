#include "quantize/grid_block.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/half.h"
#include "quantize/scale_search.h"

namespace hachi::quantize {
namespace {

constexpr int kElements = 256;
constexpr int kSignGroup = 8;
constexpr int kHighestScale = 15;
constexpr int kRounds = 2;  // how often d is fitted
constexpr int kReach = 2;   // scales tried on either side of the wanted one

constexpr Levels kScales =
    make_levels(std::array{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31});

// The values without their signs. Where the signs must be even and are not, the value that costs
// least keeps a sign: it is met with the wrong one.
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

// A sub-block under one scale.
struct Choice {
  int scale = 0;
  float gg = 0;             // sum of weight * magnitude^2
  float xg = 0;             // sum of weight * x * magnitude
  float change = INFINITY;  // of the error against all zeros
  int points[8] = {};
};

template <size_t kLevels, size_t kPoint>
void choose_points(const Run& run, const GridSearch<kLevels, kPoint>& search, float scale,
                   Choice* choice) {
  choice->gg = choice->xg = 0;
  for (int i = 0; i < run.n; i += static_cast<int>(kPoint)) {
    const int point = search.nearest(run.x + i, run.weights + i, scale);
    choice->points[i / static_cast<int>(kPoint)] = point;
    for (size_t k = 0; k < kPoint; ++k) {
      const auto magnitude = static_cast<float>(search.magnitudes(point)[k]);
      const float weighted = run.weights[static_cast<size_t>(i) + k] * magnitude;
      choice->gg += weighted * magnitude;
      choice->xg += weighted * run.x[static_cast<size_t>(i) + k];
    }
  }
  choice->change = scale * (scale * choice->gg - 2.0f * choice->xg);
}

// The best of the scales near the wanted one; `step` is d * unit.
template <size_t kLevels, size_t kPoint>
Choice choose(const Run& run, const GridSearch<kLevels, kPoint>& search, float step, float wanted) {
  const int center = nearest_integer((wanted / step - 1.0f) * 0.5f, 0, kHighestScale);
  Choice best;
  for (int scale = std::max(center - kReach, 0); scale <= std::min(center + kReach, kHighestScale);
       ++scale) {
    Choice choice{.scale = scale};
    choose_points(run, search, step * static_cast<float>(2 * scale + 1), &choice);
    if (choice.change < best.change) best = choice;
  }
  return best;
}

}  // namespace

template <size_t kLevels, size_t kPoint>
GridBlock fit_grid_block(const BlockValues& values, const GridFormat& format,
                         const GridSearch<kLevels, kPoint>& search) {
  float magnitudes[kElements];
  GridBlock best;
  take_signs(values, format.even_signs, magnitudes, best.signs);
  const int n = format.sub_block_size;
  const int count = kElements / n;
  const auto run_of = [&](int s) { return Run{magnitudes + s * n, values.weights + s * n, n}; };

  float wanted[kMaxSubBlocks];
  float curvatures[kMaxSubBlocks];
  const Alphabet alphabet(&search.levels());
  for (int s = 0; s < count; ++s) {
    const ScaleFit fit = best_scale(values.loops, alphabet, run_of(s));
    wanted[s] = fit.scale;
    curvatures[s] = fit.curvature;
  }
  float d =
      best_scale(values.loops, Alphabet(&kScales), {wanted, curvatures, count}).scale / format.unit;

  float best_change = 0;
  for (int round = 0; round < kRounds; ++round) {
    const uint16_t bits = ops::f32_to_f16(std::clamp(d, 0.0f, kLargest));
    const float step = ops::f16_to_f32(bits) * format.unit;
    if (!(step > 0)) break;
    GridBlock block;
    float change = 0, numerator = 0, denominator = 0;
    for (int s = 0; s < count; ++s) {
      const Choice choice = choose(run_of(s), search, step, wanted[s]);
      const auto scale = static_cast<float>(2 * choice.scale + 1);
      block.scales[s] = choice.scale;
      std::copy_n(choice.points, n / static_cast<int>(kPoint),
                  block.points + s * n / static_cast<int>(kPoint));
      change += choice.change;
      numerator += scale * choice.xg;
      denominator += scale * scale * choice.gg;
      wanted[s] = choice.gg > 0 ? choice.xg / choice.gg : 0.0f;
    }
    if (!(change < best_change)) break;
    best_change = change;
    best.d = bits;
    std::copy(block.scales, block.scales + 16, best.scales);
    std::copy(block.points, block.points + 64, best.points);
    d = numerator / denominator / format.unit;
  }
  return best;
}

template GridBlock fit_grid_block(const BlockValues&, const GridFormat&, const GridSearch<3, 8>&);
template GridBlock fit_grid_block(const BlockValues&, const GridFormat&, const GridSearch<8, 4>&);

}  // namespace hachi::quantize
