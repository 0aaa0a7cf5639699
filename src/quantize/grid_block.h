// A block of an IQ2 or IQ3 type: four-bit scales, points of a grid, and signs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/iq_grids.h"
#include "quantize/encode.h"

namespace hachi::quantize {

// A grid as the search wants it.
class SearchGrid {
 public:
  template <size_t kSize, size_t kElements, size_t kLevels>
  SearchGrid(const ops::Grid<kSize, kElements>& grid, const std::array<int8_t, kLevels>& levels)
      : levels_(make_levels(levels)), magnitudes_(grid.data()->data()) {
    add_points(static_cast<int>(kSize), static_cast<int>(kElements));
  }

  const GridPoints& points() const { return points_; }
  const Levels& levels() const { return levels_; }
  const int8_t* magnitudes(int point) const { return magnitudes_ + point * points_.elements; }

 private:
  static constexpr int kMaxPoints = 1024;
  static constexpr int kMaxHalves = 81;  // four digits in base 3

  void add_points(int size, int elements);
  int digit(int8_t magnitude) const;

  Levels levels_;
  const int8_t* magnitudes_;  // not owned
  uint8_t low_[kMaxPoints] = {};
  uint16_t first_[kMaxHalves + 1] = {};
  GridPoints points_{};
};

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

GridBlock fit_grid_block(const BlockValues& values, const GridFormat& format,
                         const SearchGrid& grid);

}  // namespace hachi::quantize
