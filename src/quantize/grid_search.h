// The nearest point of a grid of the IQ2 and IQ3 types.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/iq_grids.h"
#include "quantize/search.h"

namespace hachi::quantize {

// A point is a number of kElements digits in base kLevels. Most numbers are no point of the grid;
// for each of those there is a list of the points around it, made once. So a search rounds each
// value to its nearest level, which is the best of all if it is a point, and else tries the points
// of the list. That finds the very best nearly always, at a thirtieth of the cost of trying all.
template <size_t kLevels, size_t kElements>
class GridSearch {
 public:
  template <size_t kSize>
  GridSearch(const ops::Grid<kSize, kElements>& grid, const std::array<int8_t, kLevels>& levels)
      : GridSearch(grid.data(), kSize, levels) {}

  // The index of the point with the least sum of weight * (x - scale * magnitude)^2, of those
  // tried; x may be negative, scale is above 0.
  int nearest(const float* x, const float* weights, float scale) const;

  const std::array<int8_t, kElements>& magnitudes(int point) const { return grid_[point]; }
  const Levels& levels() const { return levels_; }

 private:
  // A number is kept as two halves of as many digits, whose costs come from a table each.
  static constexpr size_t kHalfDigits = kElements / 2;
  static constexpr size_t power(size_t digits) {
    return digits == 0 ? 1 : kLevels * power(digits - 1);
  }
  static constexpr size_t kHalf = power(kHalfDigits);
  static constexpr size_t kNumbers = kHalf * kHalf;
  static constexpr size_t kNeighbors = 32;

  struct Halves {
    uint8_t low, high;
  };

  GridSearch(const std::array<int8_t, kElements>* grid, size_t size,
             const std::array<int8_t, kLevels>& levels);
  void list_neighbors(const std::vector<Halves>& points);
  void cost_table(const float* x, const float* weights, float scale, float* table) const;

  const std::array<int8_t, kElements>* grid_;  // not owned
  Levels levels_;
  std::vector<int16_t> index_;     // by number; -1 where it is no point
  std::vector<Halves> neighbors_;  // kNeighbors a number, those of points unused
};

extern template class GridSearch<3, 8>;
extern template class GridSearch<8, 4>;

}  // namespace hachi::quantize
