// The loops in which the search for scales spends its time: sums over a few values for eight
// candidates at once, a candidate a lane. There is a set for AVX2 and a portable one, of the same
// source and with the same bits.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/features.h"

namespace hachi::quantize {

inline constexpr int kCandidates = 8;
inline constexpr int kGridScales = 16;

// Neighbouring values that will share a scale, and the weights of their squared errors.
struct Run {
  const float* x;
  const float* weights;
  int n;
};

// A candidate makes x[i] the integer q[i] = (x[i] + shift) * inverse, rounded to the nearest, ties
// to even, and then clamped to [lowest, highest].
struct Candidates {
  float inverse[kCandidates];
  float shift[kCandidates];
};

// Sums over a run of weight * q, weight * q^2 and weight * x * q.
struct Sums {
  float q[kCandidates];
  float qq[kCandidates];
  float xq[kCandidates];
};

// Values that q may have in place of integers, in rising order. borders[k] lies halfway between
// values[k] and values[k + 1].
struct Levels {
  float values[16];
  float borders[15];
  int count;
};

template <class Values>
constexpr Levels make_levels(const Values& values) {
  Levels levels{};
  for (const auto value : values) levels.values[levels.count++] = static_cast<float>(value);
  for (int k = 0; k + 1 < levels.count; ++k) {
    levels.borders[k] = (levels.values[k] + levels.values[k + 1]) / 2;
  }
  return levels;
}

// The place of the level nearest to v; of two that are as near, the lower.
inline int nearest_level(const Levels& levels, float v) {
  const float* end = levels.borders + (levels.count - 1);
  return static_cast<int>(std::lower_bound(levels.borders, end, v) - levels.borders);
}

// A grid of the IQ2 and IQ3 types for a search that tries all of its points. A point is a number of
// as many digits as it has elements, each the place of a level, and is taken as two halves: what a
// half costs comes from a table that is made for each search, so that a point costs one look-up.
struct GridPoints {
  const Levels* levels;   // 3 or 8
  int elements;           // of a point: 8 if there are 3 levels, 4 if there are 8
  const uint8_t* low;     // the low half of each point, in the order of the grid
  const uint16_t* first;  // points first[h] to first[h + 1] - 1 have the high half h
};

struct SearchLoops {
  void (*sums_of_integers)(const Run& run, const Candidates& candidates, float lowest,
                           float highest, Sums* sums);
  // q is the level nearest to x[i] * inverse; sums->q is not written.
  void (*sums_of_levels)(const Run& run, const float* inverse, const Levels& levels, Sums* sums);

  // For kGridScales scales at once: errors[j] = sum over the points of the run of the least error
  // that a point of the grid leaves under scales[j], weight * (x - scale * magnitude)^2 summed over
  // its elements.
  void (*grid_errors)(const GridPoints& grid, const Run& run, const float* scales, float* errors);
  // The points that leave the least error, for kCandidates points side by side: point j is of the
  // elements from x + j * grid.elements on, under scales[j].
  void (*nearest_points)(const GridPoints& grid, const float* x, const float* weights,
                         const float* scales, int* points);
};

const SearchLoops& search_loops(const ops::CpuFeatures& features);

namespace portable {
extern const SearchLoops kSearchLoops;
}
namespace avx2 {
extern const SearchLoops kSearchLoops;
}

}  // namespace hachi::quantize
