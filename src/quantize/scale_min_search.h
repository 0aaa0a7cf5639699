// The same as scale_search.h for types with a min: x is about scale * q - shift, q from 0 to a
// highest integer.
#pragma once

#include <cstdint>

#include "quantize/search.h"

namespace hachi::quantize {

enum class MinSign {
  kAny,
  kNotPositive,  // the shift, minus the min, is stored without a sign
};

struct ScaleMinFit {
  float scale = 0;  // never negative
  float shift = 0;
  // Sums of weight * q, weight * q^2, weight * x * q for the integers that it was found with.
  float q = 0;
  float qq = 0;
  float xq = 0;
};

// The scale and shift for which sum of weight * (x - (scale * q - shift))^2 is least, of those
// tried.
ScaleMinFit best_scale_and_min(const SearchLoops& loops, int highest, MinSign sign, const Run& run);

// A block whose sub-blocks have integer multiples of two f16 as scales and shifts.
struct ScaleMinBlock {
  uint16_t d = 0;     // f16
  uint16_t dmin = 0;  // f16
  int scales[16] = {};
  int mins[16] = {};
};

struct ScaleMinFormat {
  int highest;        // q
  int highest_scale;  // and min
  int num_sub_blocks;
  int sub_block_size;
};

// `q` gets the nearest integers to x under the scales and shifts that were found.
ScaleMinBlock fit_scale_min_block(const SearchLoops& loops, const ScaleMinFormat& format,
                                  const float* x, const float* weights, uint8_t* q);

}  // namespace hachi::quantize
