// The best scale for a few values, and the best step for the scales of a block.
#pragma once

#include <cstdint>

#include "quantize/search.h"

namespace hachi::quantize {

// What q of a type may be: the integers from lowest() to highest(), or a list of levels.
class Alphabet {
 public:
  constexpr Alphabet(int lowest, int highest)
      : lowest_(static_cast<float>(lowest)), highest_(static_cast<float>(highest)) {}
  explicit constexpr Alphabet(const Levels* levels)
      : lowest_(levels->values[0]), highest_(levels->values[levels->count - 1]), levels_(levels) {}

  float lowest() const { return lowest_; }
  float highest() const { return highest_; }

  // For candidates without a shift.
  void sums(const SearchLoops& loops, const Run& run, const Candidates& candidates,
            Sums* sums) const {
    if (levels_ != nullptr) {
      loops.sums_of_levels(run, candidates.inverse, *levels_, sums);
    } else {
      loops.sums_of_integers(run, candidates, lowest_, highest_, sums);
    }
  }

 private:
  float lowest_;
  float highest_;
  const Levels* levels_ = nullptr;
};

// v to the nearest integer of [lowest, highest], as the search rounds it.
inline int nearest_integer(float v, int lowest, int highest) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
  const float rounded = (v + kRound) - kRound;
  if (!(rounded > static_cast<float>(lowest))) return lowest;
  if (!(rounded < static_cast<float>(highest))) return highest;
  return static_cast<int>(rounded);
}

// 1 / scale, or 0 where the scale is too small to have one: all is 0 then.
inline float inverse_of(float scale) {
  constexpr float kSmallest = 0x1p-100f;
  return scale > kSmallest || scale < -kSmallest ? 1.0f / scale : 0.0f;
}

// The value of largest magnitude, the first of several.
float peak_of(const float* x, int n);

// The f16 that is the step of integer scales: d to the nearest, but not nearer to zero where f16
// has few digits left (below 6.1e-5, where the steps of Q6_K are), lest the largest scale be cut
// off.
uint16_t step_f16(float d);

struct ScaleFit {
  float scale = 0;      // 0 if all values are
  float curvature = 0;  // sum of weight * q^2: what an error of the scale costs
};

// The scale for which sum of weight * (x - scale * q)^2 is least, of those tried, q being the
// nearest of the alphabet. May be negative unless `alphabet` has no negative q.
ScaleFit best_scale(const SearchLoops& loops, const Alphabet& alphabet, const Run& run);

inline constexpr int kMaxSubBlocks = 16;

// A block whose sub-blocks have integer multiples of one f16 as their scales.
struct ScaledBlock {
  uint16_t d = 0;  // f16
  int scales[kMaxSubBlocks] = {};

  // 1 / the scale of sub-block s, or 0.
  float inverse(int s) const;
};

struct ScaledFormat {
  Alphabet alphabet;
  Alphabet scales;
  int num_sub_blocks;
  int sub_block_size;
};

ScaledBlock fit_scaled_block(const SearchLoops& loops, const ScaledFormat& format, const float* x,
                             const float* weights);

}  // namespace hachi::quantize
