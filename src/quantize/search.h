// The loops in which the search for scales spends its time: sums over a few values for eight
// candidates at once, a candidate a lane. There is a set for AVX2 and a portable one, of the same
// source and with the same bits.
#pragma once

#include "kernels/cpu/features.h"

namespace hachi::quantize {

inline constexpr int kCandidates = 8;

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

struct SearchLoops {
  void (*sums_of_integers)(const Run& run, const Candidates& candidates, float lowest,
                           float highest, Sums* sums);
  // q is the level nearest to x[i] * inverse; sums->q is not written.
  void (*sums_of_levels)(const Run& run, const float* inverse, const Levels& levels, Sums* sums);
};

const SearchLoops& search_loops(const ops::CpuFeatures& features);

namespace portable {
extern const SearchLoops kSearchLoops;
}
namespace avx2 {
extern const SearchLoops kSearchLoops;
}

}  // namespace hachi::quantize
