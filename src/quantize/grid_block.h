// A block of an IQ2 or IQ3 type: four-bit scales, points of a grid, and signs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quantize/encode.h"
#include "quantize/grid_search.h"

namespace hachi::quantize {

struct GridBlock {
  uint16_t d = 0;          // f16
  int scales[16] = {};     // four bits a sub-block
  int points[64] = {};     // indices in the grid
  uint8_t signs[32] = {};  // of 8 elements a byte
};

// The scale of a sub-block is d * unit * (2 * four bits + 1).
struct GridFormat {
  float unit;
  int sub_block_size;
  bool even_signs;  // each byte of signs has an even number of negatives
};

template <size_t kLevels, size_t kElements>
GridBlock fit_grid_block(const BlockValues& values, const GridFormat& format,
                         const GridSearch<kLevels, kElements>& search);

extern template GridBlock fit_grid_block(const BlockValues&, const GridFormat&,
                                         const GridSearch<3, 8>&);
extern template GridBlock fit_grid_block(const BlockValues&, const GridFormat&,
                                         const GridSearch<8, 4>&);

}  // namespace hachi::quantize
